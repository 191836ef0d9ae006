from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as mpl_image

from tesela.errors import ProductError
from tesela.products.maskbit import MaskBit
from tesela.score import pictures
from tesela.score.astrometry import Residuals
from tesela.score.completeness import Recovery
from tesela.score.night import Evaluation
from tesela.score.zeropoint import Differences


def _evaluation(rng: np.random.Generator) -> Evaluation:
    n = 300
    mag = rng.uniform(19, 23, n)
    curve = 1 / (1 + np.exp(4 * (mag - 21)))
    residuals = Residuals("rSDSS", *rng.normal(0, 10, (2, n)), *rng.uniform(10, 11, (2, n)))
    return Evaluation(
        rows=[],
        residuals=[residuals],
        zeropoints=[Differences(t, "rSDSS", rng.normal(5, 20, n), np.zeros(n, bool)) for t in "AB"],
        recoveries=[
            Recovery(t, b, 21.0, mag, rng.uniform(0, 1, n) < curve, curve)
            for t in "AB"
            for b in ("gSDSS", "rSDSS")
        ],
    )


def test_the_same_evaluation_draws_the_same_bytes(tmp_path: Path, rng: np.random.Generator) -> None:
    evaluation = _evaluation(rng)
    once = pictures.write_plots(evaluation, tmp_path / "a")
    again = pictures.write_plots(evaluation, tmp_path / "b")
    assert [p.name for p in once] == ["completeness.png", "astrometry.png", "zeropoints.png"]
    for one, two in zip(once, again):
        assert one.read_bytes() == two.read_bytes()
        assert mpl_image.imread(one).std() > 0.01


def test_plots_of_nothing_are_drawn(tmp_path: Path) -> None:
    for path in pictures.write_plots(Evaluation([], [], [], []), tmp_path):
        assert path.stat().st_size > 0


def test_a_panel_shows_what_it_is_given(tmp_path: Path) -> None:
    dark, light = np.zeros((40, 50), np.uint8), np.full((40, 50, 3), 255, np.uint8)
    light[:, :, 1:] = 0
    pictures.panel({"one": dark, "two": light}, tmp_path / "p.png", title="pair", mask_legend=True)
    drawn = mpl_image.imread(tmp_path / "p.png")[..., :3]
    black = (drawn < 0.02).all(axis=2).mean()
    red = ((drawn[..., 0] > 0.98) & (drawn[..., 1] < 0.02)).mean()
    assert black > 0.1
    assert red == pytest.approx(black, rel=0.1)


def test_a_panel_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="no pictures"):
        pictures.panel({}, tmp_path / "p.png")


def test_every_code_has_a_colour_of_its_own() -> None:
    assert set(pictures.MASK_COLOURS) == set(MaskBit)
    assert len(set(pictures.MASK_COLOURS.values())) == len(MaskBit)


def test_a_mask_is_turned_up_and_no_flagged_pixel_is_lost() -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[0, 0] = MaskBit.COSMIC_RAY
    mask[399, 599] = MaskBit.OBJECT | MaskBit.BAD
    picture = pictures.mask_image(mask, max_px=100)
    assert picture.shape == (67, 100, 3)
    assert tuple(picture[-1, 0]) == pictures.MASK_COLOURS[MaskBit.COSMIC_RAY]
    assert tuple(picture[0, -1]) == pictures.MASK_COLOURS[MaskBit.BAD]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 3


def test_a_map_of_counts_has_one_colour_a_number(tmp_path: Path) -> None:
    counts = np.repeat(np.arange(4, dtype=np.uint8), 10)[None, :].repeat(40, axis=0)
    pictures.panel({"p": np.zeros((40, 40), np.uint8)}, tmp_path / "a.png", counts={"n": counts})
    pictures.panel({"p": np.zeros((40, 40), np.uint8)}, tmp_path / "b.png")
    with_map, without = (mpl_image.imread(tmp_path / f"{n}.png")[..., :3] for n in "ab")
    assert with_map.shape[1] == pytest.approx(2 * without.shape[1], abs=2)
    ratios = with_map.reshape(-1, 3)
    coloured = ratios[np.ptp(ratios, axis=1) > 0.2]
    common = np.unique(np.round(coloured, 2), axis=0, return_counts=True)[1]
    assert np.count_nonzero(common > 0.1 * common.max()) == 4


def test_a_panel_is_as_wide_as_it_is_told(tmp_path: Path) -> None:
    one = {"one": np.zeros((40, 40), np.uint8)}
    pictures.panel(one, tmp_path / "p.png", columns=1, inches=11.0)
    assert mpl_image.imread(tmp_path / "p.png").shape[1] == 1210
