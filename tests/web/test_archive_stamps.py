"""Stamps: the right pixels, the right way up, on one stretch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sciencedb import synthetic
from tesela.errors import ProductError
from tesela.sky.wcs import Wcs
from tesela.web.archive import stamps
from tesela.web.archive.stamps import Cut

RA, DEC = 210.0, 57.0


@pytest.fixture
def coadd(tmp_path: Path) -> Path:
    """Noise of 1 with one bright pixel east of the centre and one north of it."""
    made = synthetic.coadd(RA, DEC, 1)
    made.image[:] = 0.0
    made.variance[:] = 4.0
    made.image[36, 36 - 5], made.image[36 + 8, 36] = 100.0, 50.0
    path = tmp_path / "c.fits"
    made.write(path)
    return path


def wcs() -> Wcs:
    cards = {key: value for key, value, _ in synthetic.coadd(RA, DEC, 1).cards}
    return Wcs.from_cards(cards, (synthetic.PIXELS, synthetic.PIXELS))


def place(x: float, y: float) -> tuple[float, float]:
    ra, dec = wcs().pix_to_sky(x, y)
    return float(ra), float(dec)


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float)


def test_the_position_is_in_the_middle(coadd: Path) -> None:
    part = stamps.cut(coadd, *place(31, 36), 120.0)
    side = part.image.shape[0]
    assert part.image.shape == (side, side)
    assert side % 2 == 1
    assert part.image[side // 2, side // 2] == 100.0
    assert part.noise == 2.0
    assert part.pixel_arcsec == pytest.approx(10.0, rel=1e-3)


def test_north_is_up_and_east_left(coadd: Path) -> None:
    part = stamps.cut(coadd, *place(36, 36), 120.0)
    picture = decoded(stamps.grey(Cut(part.image, 1.0, 10.0), 1.0))
    half = picture.shape[0] // 2
    factor = picture.shape[0] // part.image.shape[0]
    east = picture[half, half - 5 * factor]
    assert east > 150 > picture[half, half + 5 * factor]


def test_outside_the_image_there_is_no_data(coadd: Path) -> None:
    part = stamps.cut(coadd, *place(0, 0), 100.0)
    half = part.image.shape[0] // 2
    assert np.isnan(part.image[0, 0])
    assert np.isfinite(part.image[half, half])
    far = stamps.cut(coadd, (RA + 5) % 360, DEC, 100.0)
    assert np.isnan(far.image).all()
    assert np.isnan(far.noise)
    assert decoded(stamps.grey(far, far.noise)).std() < 1


def test_one_unit_means_one_grey(coadd: Path) -> None:
    flat = np.full((31, 31), 30.0, np.float32)
    one = decoded(stamps.grey(Cut(flat, 3.0, 1.0), 3.0)).mean()
    other = decoded(stamps.grey(Cut(flat * 7, 21.0, 1.0), 21.0)).mean()
    assert one == pytest.approx(other, abs=1.0)
    assert 0 < one < 255


def test_black_and_white_are_where_they_are_said_to_be() -> None:
    for value, grey in ((-2.0, 0), (250.0, 255), (1e6, 255)):
        flat = np.full((200, 200), value, np.float32)
        assert decoded(stamps.grey(Cut(flat, 1.0, 1.0), 1.0)).mean() == pytest.approx(grey, abs=2)


def test_flux_becomes_counts_and_back() -> None:
    assert stamps.microjansky(1.0, 23.9) == pytest.approx(1.0)
    assert stamps.microjansky(1.0, 26.4) == pytest.approx(10.0)


def test_equal_fluxes_are_grey_in_colour(rng: np.random.Generator) -> None:
    flux = rng.normal(0, 1, (41, 41)).astype(np.float32)
    flux[20, 20] = 400.0
    parts = [(Cut(flux * 10 ** (0.4 * (zp - 23.9)), 10 ** (0.4 * (zp - 23.9)), 1.0), zp)
             for zp in (23.9, 22.0, 25.0)]  # fmt: skip
    picture = np.asarray(Image.open(io.BytesIO(stamps.colour(parts))), dtype=float)
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert middle.max() - middle.min() < 20
    assert middle.min() > 150


@pytest.mark.parametrize("content", [b"", b"not a FITS file", b"SIMPLE  =" + b" " * 3000])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "SIM-1.rSDSS.fits"
    path.write_bytes(content)
    with pytest.raises(ProductError, match=r"SIM-1\.rSDSS\.fits"):
        stamps.cut(path, RA, DEC, 20.0)
    with pytest.raises(ProductError, match=r"absent\.fits"):
        stamps.cut(tmp_path / "absent.fits", RA, DEC, 20.0)
