"""The colours of a release: which bands make red, green and blue, and the planes of a tile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.pixels import colour
from tesela.pixels.colour import Curve
from tesela.products import files
from tesela.products.calibrated import AB_ZERO_UJY_MAG
from tesela.products.columns import band_order
from tesela.sky.wcs import Wcs
from tesela.stages.release.settings import ReleaseSettings, TileInput

_NOISE_ROWS = 64
"""The noise of a coadd is the median over so many of its rows."""


@dataclass(frozen=True)
class CoaddFacts:
    """What the header and the weights of a coadd say."""

    wcs: Wcs
    zeropoint_mag: float
    noise_ujy: float
    """Median standard deviation of a pixel without sources; NaN if no pixel has data."""

    @property
    def gain_ujy(self) -> float:
        """Microjansky of one electron/s."""
        return float(10 ** (0.4 * (AB_ZERO_UJY_MAG - self.zeropoint_mag)))


def read_facts(path: Path) -> CoaddFacts:
    """Read them without the pixels of the image."""
    fits = files.read_fits(path, ["WEIGHT"])
    weight, cards = fits.data["WEIGHT"], fits.cards["IMAGE"]
    step = max(1, len(weight) // _NOISE_ROWS)
    some = weight[::step]
    some = some[some > 0]
    zeropoint = cards.get("MAGZP")
    if zeropoint is None:
        raise ProductError(str(path), found="no card MAGZP", expected="a coadd of ours")
    zeropoint = float(zeropoint)
    gain = 10 ** (0.4 * (AB_ZERO_UJY_MAG - zeropoint))
    noise = gain / np.sqrt(np.median(some)) if some.size else np.nan
    return CoaddFacts(
        Wcs.from_cards(cards, weight.shape),
        zeropoint,
        float(noise),
    )


@dataclass(frozen=True)
class Recipe:
    """Shares of the bands in red, green and blue; fixed for a release."""

    channels: tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]]
    """By band; they add up to 1 in each."""
    balance: tuple[float, float, float]
    curve: Curve

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the facts of the release."""
        names = ("red", "green", "blue")
        shares = {
            name: {band: round(share, 4) for band, share in channel.items()}
            for name, channel in zip(names, self.channels)
        }
        return {
            **shares,
            "balance": list(self.balance),
            "noise_ujy": float(f"{self.curve.sigma:.4g}"),
            "method": "asinh of the mean of the three (Lupton et al. 2004, PASP 116, 133)",
        }


def choose_recipe(noise_ujy: Mapping[str, float], settings: ReleaseSettings) -> Recipe:
    """Divide the bands among the colours, each with a share by its inverse noise.

    Parameters
    ----------
    noise_ujy : mapping of str to float
        Noise of a pixel by band, positive: of the bands that the release has.
    """
    usable = {band: s for band, s in noise_ujy.items() if np.isfinite(s) and s > 0}
    if not usable:
        raise ProductError("coadds of the release", found="none with data", expected="one at least")
    named = (settings.red, settings.green, settings.blue)
    groups = [[band for band in bands if band in usable] for bands in named]
    balance = settings.balance
    if not all(groups):
        groups, balance = _thirds(band_order(usable)), (1.0, 1.0, 1.0)
    channels = []
    for group in groups:
        total = sum(1 / usable[band] for band in group)
        channels.append({band: 1 / usable[band] / total for band in group})
    red, green, blue = channels
    sigma = _noise_of_mean(channels, usable, balance)
    return Recipe((red, green, blue), balance, Curve(sigma))


def _thirds(bands: Sequence[str]) -> list[list[str]]:
    """Bands by wavelength as red, green and blue; what is lacking is borrowed."""
    if len(bands) == 1:
        return [[bands[0]]] * 3
    if len(bands) == 2:
        return [[bands[1]], list(bands), [bands[0]]]
    first, second = round(len(bands) / 3), round(2 * len(bands) / 3)
    return [list(bands[second:]), list(bands[first:second]), list(bands[:first])]


def _noise_of_mean(
    channels: Sequence[Mapping[str, float]],
    noise: Mapping[str, float],
    balance: Sequence[float],
) -> float:
    """Noise of (red + green + blue) / 3; a band may be in several."""
    shares: dict[str, float] = {}
    for channel, factor in zip(channels, balance):
        for band, share in channel.items():
            shares[band] = shares.get(band, 0.0) + factor * share / 3
    return float(np.sqrt(sum((share * noise[band]) ** 2 for band, share in shares.items())))


class Planes:
    """Colour planes of tiles, made when asked for; the last few are kept.

    Parameters
    ----------
    tiles : sequence of TileInput
    facts : mapping of (tile, band) to CoaddFacts
    recipe : Recipe
    kept : int
        How many tiles stay in memory.
    """

    def __init__(
        self,
        tiles: Sequence[TileInput],
        facts: Mapping[tuple[str, str], CoaddFacts],
        recipe: Recipe,
        kept: int,
    ) -> None:
        self._tiles = {tile.name: tile for tile in tiles}
        self._facts = facts
        self._wcs = {tile: fact.wcs for (tile, _), fact in facts.items()}
        self._kept = kept
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self.recipe = recipe

    def wcs(self, tile: str) -> Wcs:
        """Where the pixels of a tile are; the same in all its bands."""
        return self._wcs[tile]

    def __call__(self, tile: str) -> NDArray[np.float32]:
        """(3, ny, nx) float32, microjansky a pixel; NaN = no data."""
        if tile not in self._cache:
            while len(self._cache) >= self._kept:
                self._cache.popitem(last=False)
            self._cache[tile] = self._make(tile)
        self._cache.move_to_end(tile)
        return self._cache[tile]

    def _make(self, tile: str) -> NDArray[np.float32]:
        shape = self.wcs(tile).shape
        totals = np.zeros((3, *shape), np.float32)
        shares = [np.zeros(shape, np.float32) for _ in range(3)]
        for band, path in self._tiles[tile].coadds.items():
            wanted = [c for c in range(3) if band in self.recipe.channels[c]]
            if not wanted:
                continue
            fits = files.read_fits(path, ["IMAGE", "WEIGHT"])
            for c in wanted:
                colour.add_band(
                    totals[c], shares[c], fits.data["IMAGE"], fits.data["WEIGHT"],
                    gain=self._facts[tile, band].gain_ujy, share=self.recipe.channels[c][band],
                )  # fmt: skip
        colour.finish_planes(totals, shares, self.recipe.balance)
        return totals
