"""What the quick look can be told, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import pyramid
from tesela.products.images import Table


@dataclass(frozen=True)
class QuickSettings:
    """The quick look: what it leaves out of `[steps.reduce]`, and what it warns an observer of."""

    threshold_sigma: float = 5.0
    """Detection threshold: seeing and zero point need no faint sources."""
    max_stars: int = 3000
    """The brightest sources, which are measured further and kept in the star list."""
    max_saturated: float = 0.25
    """A frame does not pass with a larger part of its pixels saturated."""
    max_fwhm_arcsec: float = 0.0
    """Nor with a seeing above this; 0 for no limit."""
    min_transparency: float = 0.3
    """Nor with less light than this part of that of a clear night."""
    flat_level_adu: tuple[float, float] = (5000.0, 50000.0)
    """Nor a flat whose median level is outside this range."""


@dataclass
class QuickOutputs:
    """What was seen of a frame, however far that came.

    Metrics that could not be measured are None; `rejections` and `warnings` say why.
    """

    metrics: dict[str, Any]
    rejections: list[str]
    """Why the frame does not pass; nothing if it does."""
    warnings: list[str]
    operations: list[str]
    stars: Table
    """The brightest sources; no columns of a frame without stars."""
    wcs: dict[str, Any]
    """Cards of the solution; empty without one."""
    picture: NDArray[np.uint8]
    """(h, w, 3) small picture, first row at the top."""
    preview: dict[int, pyramid.Level] = field(default_factory=dict)
    """The image, binned; empty of a frame that was not taken apart."""
