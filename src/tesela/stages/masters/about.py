"""All pages about a master: its own, its facts, and a flat's change against the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tesela.products.monitor import AmpValue
from tesela.stages.masters.inputs import MasterInputs, MasterOutputs
from tesela.stages.masters.pages import facts
from tesela.stages.masters.pages import stability as page
from tesela.stages.masters.settings import StabilitySettings
from tesela.stages.masters.stability import stability

FLATS = ("FLAT", "DOMEFLAT")


@dataclass
class About:
    """Pages, and what a comparison with the reference adds to what the builder said."""

    pages: dict[str, bytes]
    monitored: list[AmpValue] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)


def about(
    inputs: MasterInputs, made: MasterOutputs, settings: Any, watch: StabilitySettings
) -> About:
    """Write what is to be said of a master that was made.

    A flat with a reference is compared with it; what changed is a warning and never a gate, since
    a flat that changed with its camera is right.

    Parameters
    ----------
    inputs, made
        Of the builder.
    settings : dataclass
        Those of the kind, which the builder was given.
    watch : StabilitySettings
        When a change is an alert.
    """
    found = About({**made.pages, **facts.draw(inputs, made, settings)})
    if made.master.kind in FLATS and inputs.reference is not None:
        change = stability(made.master, inputs.reference, inputs.camera, watch)
        title = f"{inputs.key} / reference of its epoch"
        found.pages |= page.draw(change, inputs.camera, watch, title)
        found.monitored = change.monitored()
        found.warnings = list(change.says)
        found.metrics = {"alert": page.WORDS[change.alert], "n_dust": len(change.dust)}
    return found
