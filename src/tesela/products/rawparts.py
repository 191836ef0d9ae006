"""Raw frames that a file holds in several images, one an output, and how a camera's are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tesela.products.rawrows import Pixels, Source

ANY = 0


@dataclass(frozen=True)
class Reading:
    """What a camera's files may hold beside one image of unsigned 16-bit integers."""

    floats: bool = False
    """Pixels of other types are taken, as float32."""
    images: int = 1
    """Images of one size that make a raw frame, side by side; `ANY`: as many as there are."""


class Stacked:
    """Images of one size as one, side by side in x in the order of the file."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self._parts = parts
        self.header = stacked_cards([part.header for part in parts])
        ny, nx = parts[0].shape
        self.shape = ny, nx * len(parts)
        self.is_wide = parts[0].is_wide

    def rows(self, y0: int, y1: int) -> Pixels:
        """Rows [y0, y1), not checked."""
        return np.concatenate([part.rows(y0, y1) for part in self._parts], axis=1)

    def whole(self) -> Pixels:
        """All rows, checked."""
        return np.concatenate([part.whole() for part in self._parts], axis=1)

    def check(self) -> None:
        """Raise `BadInput` if a part is not what a camera writes."""
        for part in self._parts:
            part.check()


def stacked_cards(headers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Cards of the first image, and those of each as `EXT1 GAIN`, `EXT2 GAIN` ..."""
    cards = dict(headers[0])
    for n, header in enumerate(headers, 1):
        cards |= {f"EXT{n} {name}": value for name, value in header.items()}
    return cards
