"""Where tasks run. An engine gives a future for each order.

`local` means processes of this machine; the others hand the same orders to pilot workers in the
batch jobs of a cluster. Wherever it runs, a step has a process of its own (`supervised`).
"""

from tesela.flow.run.engines.choice import engine_for
from tesela.flow.run.engines.engine import Engine, Run
from tesela.flow.run.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Run", "engine_for"]
