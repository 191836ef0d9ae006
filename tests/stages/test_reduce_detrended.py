"""The profile `detrended`: through the flat and no further, the sky left in, with its star list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tesela.config import Reference
from tesela.errors import QualityError
from tesela.pixels import background
from tesela.products.images import Master, card_dict, open_detrended
from tesela.products.maskbit import MaskBit
from tesela.products.masterkind import DETRENDED
from tesela.stages import reduce

from . import drawn
from .drawn import Exposure, reduced
from .test_reduce_masters import WAVES, fringed, numbers, plane, strength, with_masters

ORDER = [
    "overscan", "bias", "linearity", "gain", "dark", "saturation", "crosstalk", "flat",
    "illumination", "provisional sky", "fringe", "pattern", "bad pixels", "sky", "cosmic rays",
    "detection", "psf", "psf photometry", "astrometry",
]  # fmt: skip
BLIND = Reference(mag="mag", err="err", mag_limits=(0.0, 1.0))


def detrended(
    exposure: Exposure | None = None, masters: dict[str, Master] | None = None, **changes: object
) -> reduce.ReduceOutputs:
    inputs = (exposure or Exposure()).inputs()
    if masters is not None:
        inputs = replace(inputs, calset=drawn.calset(masters, profile=DETRENDED))
    return reduce.detrend(replace(inputs, **changes), reduce.ReduceSettings())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain() -> reduce.ReduceOutputs:
    return detrended()


def test_the_sky_is_left_in_and_its_model_told(plain: reduce.ReduceOutputs) -> None:
    cards, image = card_dict(plain.image.cards), plain.image
    assert np.median(image.image) == pytest.approx(drawn.SKY_E, abs=6)
    assert cards["SKYSUB"] is False
    assert cards["SKYLEVEL"] == pytest.approx(drawn.SKY_E, abs=2)
    assert cards["SKYRMS"] > 0 and cards["FWHM"] > 0
    sky = background.from_mesh(image.sky_mesh[0], image.image.shape, cards["SKYMESH"])
    full = reduced().image
    assert card_dict(full.cards)["SKYSUB"] is True
    np.testing.assert_allclose(image.image - sky, full.image, atol=0.01)


def test_each_operation_is_in_the_header(plain: reduce.ReduceOutputs) -> None:
    cards = card_dict(plain.image.cards)
    assert [cards[f"TSL OP{n} NAME"] for n in range(1, len(ORDER) + 1)] == ORDER
    assert f"TSL OP{len(ORDER) + 1} NAME" not in cards
    for n in (9, 11, 12):
        assert cards[f"TSL OP{n} SOURCE"] == "none"


def test_star_list_is_matched_without_a_zero_point() -> None:
    """Frames under clouds are judged by the builders: no magnitude is asked for."""
    with pytest.raises(QualityError, match="reference stars"):
        reduced(reference=BLIND)
    made = detrended(reference=BLIND)
    sources = made.image.sources
    assert np.count_nonzero(sources["i_ref"] >= 0) > 100
    assert {"x", "y", "flux_psf", "flux_psf_err", "flux_aper", "flags", "ra", "dec"} <= set(sources)
    assert "MAGZP" not in card_dict(made.image.cards)
    assert "zeropoint_mag" not in made.metrics


def test_illumination_fringe_and_pattern_are_left_out_even_where_given(
    plain: reduce.ReduceOutputs,
) -> None:
    masters = with_masters(
        numbers("ILLUMINATION", map=[[0.0, 0.3], [0.0, 0.3]]),
        plane("FRINGE", WAVES),
        plane("PATTERN", WAVES),
    )
    assert detrended(masters=masters).image.data_hash() == plain.image.data_hash()


def test_fringes_stay_and_are_not_taken_for_sources() -> None:
    made, calm = detrended(fringed(1.0)), detrended(fringed(0.0))
    covered = [np.mean((m.image.mask & MaskBit.OBJECT) > 0) for m in (made, calm)]
    assert covered[0] < covered[1] + 0.1
    # Crests that are masked more often than troughs would show here.
    assert strength(made.image.image, made.image.mask) == pytest.approx(1.0, abs=0.05)


def test_the_object_code_covers_what_the_sky_is_measured_around(
    plain: reduce.ReduceOutputs,
) -> None:
    wide, narrow = plain.image.mask & MaskBit.OBJECT, reduced().image.mask & MaskBit.OBJECT
    assert np.count_nonzero(wide) > 1.2 * np.count_nonzero(narrow)


def test_a_frame_without_wcs_is_refused() -> None:
    with pytest.raises(QualityError, match="no reference star within"):
        detrended(refcat={"ra": np.array([10.0]), "dec": np.array([-30.0])})


def test_what_is_written_is_opened_by_rows(plain: reduce.ReduceOutputs, tmp_path: Path) -> None:
    path = tmp_path / "detrended.fits"
    plain.image.write(path)
    with open_detrended(path) as opened:
        step = 1.001 * opened.cards["TSL STEP"]
        np.testing.assert_allclose(opened.image[100:130], plain.image.image[100:130], atol=step / 2)
        np.testing.assert_array_equal(opened.mask[100:130], plain.image.mask[100:130])
        assert opened.cards["SKYSUB"] is False and opened.cards["EXPTIME"] == drawn.EXPTIME_S
        assert list(opened.sources) == list(plain.image.sources)
