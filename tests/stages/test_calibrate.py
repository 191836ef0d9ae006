"""The photometric solution gives back the zero points that were drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tesela.config import Reference
from tesela.errors import ConfigError, ProductError, QualityError
from tesela.products.catalogue import Catalogue
from tesela.products.columns import ZEROPOINTS
from tesela.stages import calibrate as stage
from tesela.stages.calibrate import CalibrateInputs, CalibrateSettings, FrameStars

TRUE_MAG, COLOUR, PIVOT, MJD, EXPTIME_S = 23.5, 0.05, 0.8, 57754.5, 100.0
WANTED = Reference(
    mag="r", err="e_r", colour=("g", "i"), colour_pivot=PIVOT, colour_coefficient="fit",
    mag_limits=(12.0, 20.0),
)  # fmt: skip


def refcat(n: int = 150, seed: int = 1) -> dict[str, np.ndarray]:
    """Stars at 2016 that move by 2 arcsec a year, so that the epoch matters."""
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.2, 2.4, n)
    mag = rng.uniform(13.0, 18.0, n)
    return {
        "ra": 150.0 + rng.uniform(-0.1, 0.1, n),
        "dec": 2.0 + rng.uniform(-0.1, 0.1, n),
        "pmra": np.full(n, 2000.0),
        "pmdec": np.full(n, -2000.0),
        "ref_epoch": np.full(n, 2016.0),
        "r": mag,
        "e_r": np.full(n, 0.01),
        "g": mag + 0.6 * colour,
        "i": mag - 0.4 * colour,
    }


def observed(
    reference: dict[str, np.ndarray], zeropoint_mag: float, exptime_s: float = 1.0, seed: int = 2
) -> dict[str, np.ndarray]:
    """Star list at the epoch of the exposure: reference = inst + zero + c (colour - pivot)."""
    rng = np.random.default_rng(seed)
    n = reference["ra"].size
    years = 2000 + (MJD - 51544.5) / 365.25 - reference["ref_epoch"]
    colour = reference["g"] - reference["i"]
    inst = reference["r"] - zeropoint_mag - COLOUR * (colour - PIVOT) + rng.normal(0, 0.01, n)
    flux = exptime_s * 10 ** (-0.4 * inst)
    step = years * 2000.0 / 3.6e6
    return {
        "number": np.arange(1, n + 1),
        "ra": reference["ra"] + step / np.cos(np.radians(reference["dec"])),
        "dec": reference["dec"] - step,
        "flux_psf": flux.astype(np.float32),
        "flux_psf_err": (0.005 * flux).astype(np.float32),
        "flags": np.zeros(n, np.int16),
        "mask_flags": np.zeros(n, np.int16),
    }


def inputs(**changes: Any) -> CalibrateInputs:
    """One band, two frames; the coadd inherited a scale 50 mmag off."""
    reference = refcat()
    frames = {
        name: FrameStars(
            observed(reference, TRUE_MAG + offset, EXPTIME_S, seed), EXPTIME_S, MJD,
            TRUE_MAG + offset + 0.01, 0.01,
        )
        for name, offset, seed in (("f2", -0.3, 3), ("f1", 0.1, 4))
    }  # fmt: skip
    catalogue = Catalogue(
        observed(reference, TRUE_MAG),
        {"tile": "T", "band": "rSDSS", "zeropoint_mag": TRUE_MAG + 0.05},
    )
    made = CalibrateInputs(
        "T", ("gSDSS", "rSDSS"), {"rSDSS": catalogue}, {"rSDSS": MJD}, {"rSDSS": frames},
        reference, {"rSDSS": WANTED, "gSDSS": WANTED},
    )  # fmt: skip
    return replace(made, **changes)


def run(given: CalibrateInputs, **settings: Any) -> stage.CalibrateOutputs:
    return stage.calibrate(given, CalibrateSettings(**settings))


def row(made: stage.CalibrateOutputs, frame: str = "") -> dict[str, Any]:
    columns = made.catalogue.columns
    at = list(columns["frame"]).index(frame)
    return {name: values[at] for name, values in columns.items()}


def fewer(given: CalibrateInputs, n: int) -> CalibrateInputs:
    """A reference that holds only the first n stars."""
    return replace(given, refcat={name: values[:n] for name, values in given.refcat.items()})


def test_the_zero_points_and_the_colour_term_that_were_drawn_come_back() -> None:
    made = run(inputs())
    tile = row(made)
    assert tile["zeropoint_mag"] == pytest.approx(TRUE_MAG, abs=0.004)
    assert tile["colour_coefficient"] == pytest.approx(COLOUR, abs=0.005)
    assert tile["zeropoint_err_mag"] == pytest.approx(0.01 * np.sqrt(1.5 / 150), rel=0.5)
    assert tile["origin"] == "reference"
    assert tile["n_stars"] > 140
    assert row(made, "f1")["zeropoint_mag"] == pytest.approx(TRUE_MAG + 0.1, abs=0.004)
    assert row(made, "f2")["zeropoint_mag"] == pytest.approx(TRUE_MAG - 0.3, abs=0.004)
    assert list(made.catalogue.columns["frame"]) == ["", "f1", "f2"]
    assert made.catalogue.facts == {"tile": "T", "bands": ["rSDSS"]}
    assert made.warnings == []
    assert made.metrics["zeropoint_minus_coadd_mag_rSDSS"] == pytest.approx(-0.05, abs=0.004)


def test_an_offset_of_all_fluxes_moves_the_zero_point_by_it_and_nothing_else() -> None:
    given = inputs()
    before = row(run(given))
    table = given.catalogues["rSDSS"].columns
    table["flux_psf"] = table["flux_psf"] * np.float32(10**-0.04)
    table["flux_psf_err"] = table["flux_psf_err"] * np.float32(10**-0.04)
    after = row(run(given))
    assert after["zeropoint_mag"] - before["zeropoint_mag"] == pytest.approx(-0.1, abs=1e-5)
    assert after["n_stars"] == before["n_stars"]
    assert after["colour_coefficient"] == pytest.approx(before["colour_coefficient"], abs=1e-5)


def test_variables_outliers_and_flagged_stars_do_not_matter() -> None:
    given = inputs()
    table = given.catalogues["rSDSS"].columns
    table["flux_psf"][:20] *= np.float32(1.5)
    table["flux_psf"][20:60] *= np.float32(0.7)
    table["flags"][20:40], table["mask_flags"][40:60] = 4, 2
    found = row(run(given))
    assert found["zeropoint_mag"] == pytest.approx(TRUE_MAG, abs=0.005)
    assert found["n_stars"] <= 90


def test_the_scatter_is_in_the_error() -> None:
    given = inputs()
    table = given.catalogues["rSDSS"].columns
    noise = np.random.default_rng(9).normal(0, 0.1, 150)
    table["flux_psf"] = (table["flux_psf"] * 10 ** (0.4 * noise)).astype(np.float32)
    found = row(run(given))
    assert found["zeropoint_err_mag"] > 0.005
    assert abs(found["zeropoint_mag"] - TRUE_MAG) < 4 * found["zeropoint_err_mag"]


def test_too_few_stars_for_a_colour_term_take_that_of_the_frames() -> None:
    given = inputs()
    for name in ("ra", "dec"):
        given.catalogues["rSDSS"].columns[name][20:] += 1.0
    made = run(given)
    frames = [row(made, name) for name in ("f1", "f2")]
    held = np.mean([frame["colour_coefficient"] for frame in frames])
    assert row(made)["colour_coefficient"] == pytest.approx(held, abs=1e-3)
    assert row(made)["zeropoint_mag"] == pytest.approx(TRUE_MAG, abs=0.01)
    assert 15 <= row(made)["n_stars"] <= 20
    assert made.warnings == []


def test_without_any_colour_term_none_is_applied_and_said() -> None:
    made = run(fewer(inputs(), 30))
    assert row(made)["colour_coefficient"] == 0
    assert row(made)["origin"] == "reference"
    assert made.warnings == ["rSDSS: too few stars for a colour term, none is applied"]


@pytest.mark.parametrize("wanted", [0.05, None])
def test_a_colour_term_that_is_given_is_used_with_any_number_of_stars(wanted: float | None) -> None:
    references = {"rSDSS": replace(WANTED, colour_coefficient=wanted)}
    made = run(fewer(replace(inputs(), references=references), 30))
    assert row(made)["colour_coefficient"] == pytest.approx(wanted or 0.0)
    assert row(made)["colour_err"] == 0
    assert made.warnings == []


def test_with_too_few_stars_the_scales_of_coadd_and_frames_are_kept() -> None:
    made = run(fewer(inputs(), 4))
    tile, frame = row(made), row(made, "f1")
    assert (tile["origin"], frame["origin"]) == ("frames", "frames")
    assert tile["zeropoint_mag"] == pytest.approx(TRUE_MAG + 0.05)
    assert frame["zeropoint_mag"] == pytest.approx(TRUE_MAG + 0.11)
    assert tile["zeropoint_err_mag"] == pytest.approx(0.01 / np.sqrt(2), rel=1e-4)
    assert np.isnan(tile["scatter_mag"])
    assert tile["n_stars"] == 0
    assert "rSDSS: too few reference stars, the scale of the frames is kept" in made.warnings
    assert "rSDSS: f1 has too few reference stars, its own zero point is kept" in made.warnings


def test_a_survey_without_reference_keeps_the_scales_of_its_frames() -> None:
    assert row(run(inputs(refcat={})))["zeropoint_mag"] == pytest.approx(TRUE_MAG + 0.05)


def test_an_empty_catalogue_keeps_the_scale_of_its_frames() -> None:
    given = inputs()
    catalogue = given.catalogues["rSDSS"]
    catalogue.columns = {name: values[:0] for name, values in catalogue.columns.items()}
    assert row(run(given))["origin"] == "frames"


def test_frames_without_a_known_zero_point_have_none() -> None:
    given = inputs()
    nameless = FrameStars(given.frames["rSDSS"]["f1"].stars, EXPTIME_S, MJD)
    made = run(fewer(replace(given, frames={"rSDSS": {"f1": nameless}}), 4))
    assert np.isnan(row(made, "f1")["zeropoint_mag"])
    assert np.isnan(row(made)["zeropoint_err_mag"])
    assert row(made)["zeropoint_mag"] == pytest.approx(TRUE_MAG + 0.05)


def test_stars_that_are_enough_only_with_outliers_are_no_zero_point() -> None:
    given = fewer(inputs(), 6)
    table = given.catalogues["rSDSS"].columns
    table["flux_psf"][0] *= np.float32(100.0)
    assert row(run(given, min_stars=6))["origin"] == "frames"


def test_frames_are_taken_from_the_cards_of_a_reduced_image() -> None:
    cards = {"EXPTIME": 30.0, "MJD-MID": 57000.5, "MAGZP": 21.5, "MAGZPERR": 0.02, "OBJECT": "x"}
    frame = FrameStars.of({}, cards)
    assert frame == FrameStars({}, 30.0, 57000.5, 21.5, 0.02)


def test_columns_are_those_of_the_table_and_survive_the_file(tmp_path: Path) -> None:
    made = run(inputs())
    columns = made.catalogue.columns
    assert list(columns) == list(ZEROPOINTS)
    for name, column in ZEROPOINTS.items():
        kind = object if column.dtype == "str" else column.dtype
        assert columns[name].dtype == np.dtype(kind), name
    made.catalogue.write(tmp_path / "zeropoints.parquet")
    back = Catalogue.read(tmp_path / "zeropoints.parquet")
    assert back.kind == "zeropoints"
    assert list(back.columns["frame"]) == ["", "f1", "f2"]
    assert run(inputs()).catalogue.data_hash() == made.catalogue.data_hash()


@pytest.mark.parametrize("missing", ["r", "e_r", "g"])
def test_columns_that_the_reference_lacks_are_named(missing: str) -> None:
    given = inputs()
    del given.refcat[missing]
    with pytest.raises(QualityError, match=f"no column '{missing}' of numbers.*survey.toml"):
        run(given)


def test_a_reference_without_positions_is_refused() -> None:
    given = inputs()
    del given.refcat["dec"]
    with pytest.raises(ProductError, match="no column 'dec'; expected positions"):
        run(given)


def test_catalogues_of_another_tile_or_without_scale_are_refused() -> None:
    given = fewer(inputs(), 3)
    del given.catalogues["rSDSS"].facts["zeropoint_mag"]
    with pytest.raises(ProductError, match="3 reference stars and no fact zeropoint_mag"):
        run(given)
    given.catalogues["rSDSS"].facts["tile"] = "U"
    with pytest.raises(ProductError, match="one of tile U in rSDSS; expected the single catalogue"):
        run(given)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min_stars": 2}, "calibrate.min_stars: 2; expected 3 or more"),
        ({"min_stars": 50}, "calibrate.min_stars_colour: 40; expected 51 or more"),
        ({"match_radius_arcsec": 0.0}, "calibrate.match_radius_arcsec: 0; expected 0.01 or more"),
        ({"floor_mag": float("nan")}, "calibrate.floor_mag: nan"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CalibrateSettings(**settings)
