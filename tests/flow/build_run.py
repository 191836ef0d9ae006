"""Builds a release and stays in the middle of it: `python build_run.py SITE NAME`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tesela.flow.run import release
from tesela.flow.run.site import open_site


def linger(what: str, done: int, total: int) -> None:
    """Say where we are, and wait there to be killed."""
    print(what, flush=True)
    if what == "images":
        time.sleep(300)


if __name__ == "__main__":
    release.build(open_site(Path(sys.argv[1])), sys.argv[2], progress=linger)
