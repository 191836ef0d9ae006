"""The demonstration shows a frame with a trail if there is one, and a tile in colours."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest
from matplotlib import image as mpl_image

from tesela.cli import demo_pictures
from tesela.errors import ProductError
from tesela.products.files import Card
from tesela.products.images import Coadd, Psf, ReducedImage
from tesela.products.maskbit import MaskBit
from tesela.score.night import Products

SHAPE = (60, 50)


def _psf() -> Psf:
    return Psf({"model": np.zeros(3, np.float32)}, {"degree": 0.0})


def _reduced(path: Path, trail: int, rng: np.random.Generator) -> Path:
    mask = np.zeros(SHAPE, np.uint8)
    mask.ravel()[:trail] = MaskBit.TRAIL
    cards: list[Card] = [
        ("TSL OP1 NAME", "bias", ""),
        ("TSL OP2 NAME", "trails", ""),
        ("TSL OP2 PIXELS", trail, ""),
    ]
    image = rng.normal(0, 1, SHAPE).astype(np.float32)
    sky = np.zeros((2, 1, 1), np.float32)
    sources = {"x": np.zeros(1), "y": np.zeros(1)}
    ReducedImage(image, mask, np.ones_like(image), sky, _psf(), sources, cards).write(path)
    return path


def _coadd(path: Path, inputs: list[str], rng: np.random.Generator, level: float = 0.0) -> Path:
    image = rng.normal(0, 1, SHAPE).astype(np.float32)
    image[20:30, 20:30] += np.float32(level)
    weight = np.ones_like(image)
    weight[:, :5] = 0
    cards: list[Card] = [("MAGZP", 25.0, "")]
    cards += [(f"TSL IN{n} NAME", name, "") for n, name in enumerate(inputs, 1)]
    count = np.full(SHAPE, len(inputs), np.uint8)
    Coadd(image, weight, weight, np.zeros(SHAPE, np.uint8), count, _psf(), cards).write(path)
    return path


@pytest.fixture
def products(tmp_path: Path, rng: np.random.Generator) -> Products:
    trails = {"g1": 900, "r1": 0, "r2": 40, "r3": 70, "i1": 0}
    frames = {name: _reduced(tmp_path / f"{name}.fits", n, rng) for name, n in trails.items()}
    inputs = {"gSDSS": ["g1"], "rSDSS": ["r1", "r2", "r3"], "iSDSS": ["i1"]}
    level = {"gSDSS": 0.0, "rSDSS": 0.0, "iSDSS": 300.0}
    coadds = {
        ("T1", band): _coadd(tmp_path / f"T1.{band}.fits", names, rng, level[band])
        for band, names in inputs.items()
    }
    return Products(frames, coadds, {})


def test_the_longest_trail_in_r_is_chosen(products: Products) -> None:
    assert demo_pictures.choose_frame(products) == ("r3", "T1", "rSDSS")


def test_another_band_is_better_than_no_trail(products: Products) -> None:
    del products.coadds["T1", "rSDSS"]
    assert demo_pictures.choose_frame(products) == ("g1", "T1", "gSDSS")
    del products.coadds["T1", "gSDSS"]
    assert demo_pictures.choose_frame(products) == ("i1", "T1", "iSDSS")


def test_a_source_of_infrared_light_is_red(products: Products) -> None:
    bands = {band: path for (_, band), path in products.coadds.items()}
    picture = demo_pictures.colour_tile(bands, "rSDSS")
    red, green, blue = picture[::-1][22:28, 22:28].reshape(-1, 3).mean(axis=0)
    assert picture.shape == (*SHAPE, 3)
    assert red > 200
    assert red > 4 * green
    assert red > 4 * blue


def test_both_pictures_are_drawn_from_files_alone(products: Products, tmp_path: Path) -> None:
    raw = np.random.default_rng(1).integers(900, 1100, SHAPE).astype(np.uint16)
    folder = tmp_path / "raw"
    folder.mkdir()
    fitsio.write(str(folder / "r3.fits"), raw)
    made = demo_pictures.draw(tmp_path / "pictures", folder, products)
    assert [path.name for path in made] == ["from_raw_to_tile.png", "colour_tile.png"]
    assert mpl_image.imread(made[1]).shape[1] > 1000


def test_without_a_coadd_it_says_what_to_do(products: Products) -> None:
    with pytest.raises(ProductError, match="no coadd with a frame in it; expected the finished"):
        demo_pictures.choose_frame(Products(products.frames, {}, {}))
