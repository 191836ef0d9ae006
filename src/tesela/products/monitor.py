"""What is followed of a detector, amplifier by amplifier and night by night."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

WHOLE_CCD: Final = 0
"""The amplifier's number for what is of the CCD as a whole, its temperature for one."""


@dataclass(frozen=True)
class Monitored:
    """A quantity that the monitors follow."""

    name: str
    unit: str
    says: str


QUANTITIES: Final[dict[str, Monitored]] = {
    quantity.name: quantity
    for quantity in (
        Monitored("bias_level", "adu", "zero level, from the overscan of biases"),
        Monitored("readnoise", "electron", "read noise, from the overscan of biases"),
        Monitored("gain", "electron/adu", "gain, from the variance of flats (photon transfer)"),
        Monitored("dark", "electron/s", "dark current, median pixel"),
        Monitored("flat_level", "electron", "level of the flats, mean of the frames"),
        Monitored("flat_ratio", "", "flat against the reference flat of its epoch, median"),
        Monitored("flat_dust", "", "deepest speck that came or went since the reference flat"),
        Monitored("crosstalk", "", "largest coefficient with this amplifier as the victim"),
        Monitored("fringe", "", "amplitude of the fringes relative to the sky"),
        Monitored("temperature", "deg C", "temperature of the CCD"),
    )
}


@dataclass(frozen=True)
class AmpValue:
    """One quantity of one amplifier, as one master or image has it."""

    amp: int
    """The amplifier's id, or `WHOLE_CCD`."""
    metric: str
    """A name in `QUANTITIES`."""
    value: float
    error: float = math.nan
    n: int = 0
    """Frames it stands on."""
