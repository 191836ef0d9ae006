"""The demonstration's pictures: a frame on its way from the camera to its tile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.pixels import thumbnail
from tesela.products import files, rawfile
from tesela.products.images import Coadd, ReducedImage, card_dict
from tesela.products.maskbit import MaskBit
from tesela.score import pictures

if TYPE_CHECKING:
    from tesela.score.night import Products

_BAND = "rSDSS"
_COLOURS = ("iSDSS", "rSDSS", "gSDSS")
_PANEL_PX = 700
_TILE_INCHES = 11.0
_COLOUR_STRETCH_SIGMA = 10.0
"""Sky noise is a tenth of the brightness that is shown linearly: colours are of objects."""


def draw(folder: Path, raw: Path, products: Products) -> list[Path]:
    """A raw frame, what became of it, its tile, and the tile in colour.

    The frame is one with a satellite trail if there is one. Returns the PNG files.
    """
    name, tile, band = choose_frame(products)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "from_raw_to_tile.png", folder / "colour_tile.png"]
    _draw_frame(paths[0], raw / f"{name}.fits", products, (name, tile, band))
    bands = {b: path for (t, b), path in sorted(products.coadds.items()) if t == tile}
    picture = {f"{tile}: i, r, g as red, green, blue": colour_tile(bands, band)}
    pictures.panel(picture, paths[1], columns=1, inches=_TILE_INCHES)
    return paths


def choose_frame(products: Products) -> tuple[str, str, str]:
    """The frame to show, its tile and its band: the longest trail in r, else in any band, else
    the first frame."""
    best: tuple[tuple[bool, bool, int], tuple[str, str, str]] | None = None
    for (tile, band), path in sorted(products.coadds.items()):
        cards = files.read_fits(path, []).cards["IMAGE"]
        for key, name in cards.items():
            if not (key.startswith("TSL IN") and key.endswith(" NAME")):
                continue
            pixels = trail_pixels(files.read_fits(products.frames[name], []).cards["IMAGE"])
            merit = (pixels > 0 and band == _BAND, pixels > 0, pixels)
            if best is None or merit > best[0]:
                best = (merit, (str(name), tile, band))
    if best is None:
        raise ProductError(
            "pictures",
            found="no coadd with a frame in it",
            expected="the finished demonstration",
            do="see `tesela status` for what failed, mend it and run the demonstration again",
        )
    return best[1]


def trail_pixels(cards: Mapping[str, Any]) -> int:
    """Pixels that the operation `trails` flagged, by the cards of a reduced image."""
    for key, value in cards.items():
        if key.startswith("TSL OP") and key.endswith(" NAME") and value == "trails":
            return int(cards[key.removesuffix("NAME") + "PIXELS"])
    return 0


def colour_tile(bands: Mapping[str, Path], otherwise: str, max_px: int = 2048) -> NDArray[np.uint8]:
    """Coadds of a tile, by band, as an (h, w, 3) picture; a missing band is replaced."""
    red, green, blue = (
        _on_one_scale(Coadd.read(bands.get(name, bands[otherwise]))) for name in _COLOURS
    )
    mean = (red + green + blue) / 3
    noise = 1.4826 * float(np.nanmedian(np.abs(mean - np.nanmedian(mean))))
    stretch = _COLOUR_STRETCH_SIGMA * noise if noise > 0 else None
    return thumbnail.colour(red, green, blue, max_px=max_px, stretch=stretch)


def _on_one_scale(coadd: Coadd) -> NDArray[np.float32]:
    """Pixels in units of an AB magnitude, so that colours mean something; NaN without data."""
    factor = 10 ** (-0.4 * (float(card_dict(coadd.cards)["MAGZP"]) - 25.0))
    return np.where(coadd.weight > 0, coadd.image * np.float32(factor), np.float32(np.nan))


def _draw_frame(path: Path, raw: Path, products: Products, chosen: tuple[str, str, str]) -> None:
    name, tile, band = chosen
    reduced = ReducedImage.read(products.frames[name])
    coadd = Coadd.read(products.coadds[tile, band])
    _, pixels = rawfile.read(raw, rawfile.whatever)
    trail = f", trail of {np.count_nonzero(reduced.mask & MaskBit.TRAIL)} pixels"
    pictures.panel(
        {
            f"raw: {name}, {band}": thumbnail.render(pixels.astype(np.float32), max_px=_PANEL_PX),
            "reduced": thumbnail.render(reduced.image, max_px=_PANEL_PX),
            "mask" + trail * bool((reduced.mask & MaskBit.TRAIL).any()): pictures.mask_image(
                reduced.mask, _PANEL_PX
            ),
            f"coadd: {tile}, {band}": thumbnail.render(coadd.image, max_px=_PANEL_PX),
        },
        path,
        title="From a raw frame to a tile",
        counts={"frames used at each pixel": coadd.count},
        mask_legend=True,
    )
