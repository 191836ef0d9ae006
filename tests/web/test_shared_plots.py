"""Plots: what is drawn, what is said beside it, and the density behind quantiles."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import norm

from tesela.web.shared import redshift, sed, svg
from tesela.web.shared.sed import SedPoint


def point(band: str = "rSDSS", **changes: object) -> SedPoint:
    values: dict[str, object] = {
        "band": band,
        "pivot_nm": 625.0,
        "fwhm_nm": 138.0,
        "flux_ujy": 10.0,
        "flux_err_ujy": 1.0,
        "detected": True,
        "state": "measured",
    }
    return SedPoint(**{**values, **changes})  # type: ignore[arg-type]


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(str(picture))  # noqa: S314 - our own picture


def marks(picture: str, kind: str) -> list[ET.Element]:
    return [e for e in parsed(picture).iter() if e.get("class") == kind]


def test_a_flux_of_one_microjansky_is_23_9() -> None:
    assert sed.ab_mag(1.0) == pytest.approx(23.9)
    assert sed.ab_mag(100.0) == pytest.approx(18.9)
    assert math.isnan(sed.ab_mag(0.0))
    assert math.isnan(sed.ab_mag(-3.0))


def test_error_of_a_magnitude_is_the_relative_error_of_the_flux() -> None:
    assert point().error("mag") == pytest.approx(0.10857, rel=1e-4)
    assert point().error("flux") == 1.0


def test_limits_are_three_sigma_above_what_was_seen() -> None:
    faint = point(flux_ujy=2.0, detected=False)
    assert point(flux_ujy=-4.0, detected=False).limit("mag") == pytest.approx(sed.ab_mag(3.0))
    assert faint.limit("mag") == pytest.approx(sed.ab_mag(5.0))
    assert math.isnan(faint.value("mag"))
    assert math.isnan(point().limit("mag"))


def test_a_flux_is_shown_with_its_error_whether_detected_or_not() -> None:
    below = point(flux_ujy=-4.0, detected=False, state="not detected")
    assert below.value("flux") == -4.0
    assert below.error("flux") == 1.0
    assert math.isnan(below.limit("flux"))
    plot = sed.draw([below, point("J0660", pivot_nm=660.0)], unit="flux", ident="a", title="t")
    assert [e.tag for e in marks(plot.svg, "mark")] == ["rect", "circle"]
    assert len(marks(plot.svg, "error")) == 2
    assert not marks(plot.svg, "limit")
    assert plot.header == ("Band", "Wavelength / nm", "Flux / µJy", "Error", "State")
    assert plot.rows[0][2:] == ("\u22124.000", "1.000", "not detected")
    groups = [e.get("class") for e in parsed(plot.svg).iter() if "f-" in (e.get("class") or "")]
    assert [g.endswith(" hollow") for g in groups] == [True, False]


def test_nothing_is_drawn_of_a_band_that_was_not_observed() -> None:
    unseen = point(flux_ujy=math.nan, flux_err_ujy=math.nan, detected=False, state="not observed")
    plot = sed.draw([unseen], unit="mag", ident="a", title="t")
    assert not marks(plot.svg, "mark")
    assert not marks(plot.svg, "limit")
    assert plot.rows[0][-1] == "not observed"


def test_narrow_bands_are_circles_and_broad_ones_squares() -> None:
    plot = sed.draw(
        [point(), point("J0660", pivot_nm=660.0, fwhm_nm=14.0)], unit="mag", ident="a", title="t"
    )
    drawn = marks(plot.svg, "mark")
    assert [e.tag for e in drawn] == ["rect", "circle"]


@pytest.mark.parametrize(("band", "width", "narrow"), [
    ("uJAVA", 36.0, False), ("J0861", 41.0, True), ("Halpha", 8.0, True), ("V", 90.0, False),
])  # fmt: skip
def test_which_bands_are_narrow(band: str, width: float, narrow: bool) -> None:
    assert sed.is_narrow(band, width) is narrow


def test_brighter_is_higher_in_both_units() -> None:
    two = [point("gSDSS", flux_ujy=5.0, pivot_nm=480.0), point("rSDSS", flux_ujy=50.0)]
    for unit in ("mag", "flux"):
        drawn = marks(sed.draw(two, unit=unit, ident="a", title="t").svg, "mark")
        assert float(drawn[1].get("y")) < float(drawn[0].get("y"))


def test_a_limit_is_an_arrow_and_has_its_number_in_the_table() -> None:
    plot = sed.draw([point(detected=False)], unit="mag", ident="a", title="t")
    assert len(marks(plot.svg, "limit")) == 1
    assert plot.rows[0][4] == f"{sed.ab_mag(13.0):.3f}"


def test_series_share_the_axis_that_holds_all_of_them() -> None:
    low, high = sed.limits([[point(flux_ujy=1.0)], [point(flux_ujy=1000.0)]], "mag")
    assert low > 23.9
    assert high < 16.4


def test_an_axis_exists_without_any_value() -> None:
    plot = sed.draw([], unit="flux", ident="a", title="t")
    assert parsed(plot.svg).get("role") == "img"


def test_names_are_escaped() -> None:
    plot = sed.draw([point('<b a="1">')], unit="mag", ident="x", title="<script>")
    text = str(plot.svg)
    assert "<script>" not in text
    assert "<b a=" not in text
    assert parsed(plot.svg)[0].text == "<script>"


def test_a_picture_has_a_title_and_a_description_that_it_names() -> None:
    root = parsed(sed.draw([point()], unit="mag", ident="one", title="Photometry").svg)
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert set(root.get("aria-labelledby").split()) == ids


def test_names_of_bands_have_rows_of_their_own() -> None:
    rows = sed._label_rows([100.0, 110.0, 120.0, 200.0])
    assert rows[:3] == [0, 1, 2]
    assert rows[3] == 0


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (17.2, 23.9), (-3.0, 40.0), (0.0, 1e-3)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    values = svg.ticks(low, high)
    assert 3 <= len(values) <= 13
    assert low - 1e-9 <= values[0] <= values[-1] <= high + 1e-9
    assert np.allclose(np.diff(values), values[1] - values[0])


def gaussian_quantiles(mean: float, sigma: float, n: int = 32) -> np.ndarray:
    return norm.ppf((np.arange(n) + 0.5) / n, mean, sigma)


def test_density_of_gaussian_quantiles_is_the_gaussian() -> None:
    z, p = redshift.density(gaussian_quantiles(0.4, 0.05))
    assert np.trapezoid(p, z) == pytest.approx(1.0)
    inside = abs(z - 0.4) < 0.08
    assert np.abs(p - norm.pdf(z, 0.4, 0.05))[inside].max() < 0.12 * norm.pdf(0, 0, 0.05)


def test_density_of_two_humps_has_two_humps() -> None:
    half = gaussian_quantiles(0.2, 0.01, 16), gaussian_quantiles(0.6, 0.01, 16)
    z, p = redshift.density(np.concatenate(half))
    assert p[abs(z - 0.4).argmin()] < 0.05 * p.max()


def test_equal_quantiles_are_a_spike_and_no_failure() -> None:
    z, p = redshift.density(np.full(32, 0.3))
    assert np.isfinite(p).all()
    assert abs(z[p.argmax()] - 0.3) < 1e-3


@pytest.mark.parametrize("bad", [[0.1, 0.2], [0.3, 0.2, 0.4, 0.5], [0.1, math.nan, 0.3, 0.4]])
def test_what_are_no_quantiles_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="quantiles"):
        redshift.density(np.array(bad))


def test_redshift_plot_says_its_numbers() -> None:
    quantiles = list(gaussian_quantiles(0.4, 0.05))
    plot = redshift.draw(quantiles, best=0.4, low=0.35, high=0.45, ident="pz")
    assert plot is not None
    assert "Median 0.400, 68 % between 0.350 and 0.450." in str(plot.svg)
    assert len(plot.rows) == 32
    assert len(marks(plot.svg, "range")) == 1


def test_no_redshift_is_no_plot() -> None:
    assert redshift.draw([None] * 32, best=None, low=None, high=None, ident="pz") is None
    assert redshift.draw([], best=None, low=None, high=None, ident="pz") is None
