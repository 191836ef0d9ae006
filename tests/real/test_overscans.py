"""Raw frames of two more telescopes, described by a TOML alone: level and noise of the strips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela import cameras
from tesela.cameras import Camera
from tesela.config import Filter, Survey
from tesela.pixels import detrend, overscan
from tesela.products import rawfile
from tesela.stages.ingest.describe import describe
from tesela.stages.ingest.inspection import inspect
from verbs import tesela, well

pytestmark = pytest.mark.real

CAMERAS = Path(__file__).parent / "cameras"
SAAO = ("ste3", "saao_ste3_a8280271.fits")
NOT = ("alfosc", "not_alfosc_flat_overscan.fits.gz")
SURVEY = Survey(
    "misc", (), {"R": Filter(names=("48",)), "g": Filter(names=("g'_SDSS 480_145",))}, {}
)


@dataclass(frozen=True)
class Read:
    """A frame and what its overscan says."""

    path: Path
    camera: Camera
    pixels: NDArray
    strip: overscan.Overscan

    @property
    def electrons(self) -> NDArray[np.float32]:
        """Levelled and trimmed."""
        unit = self.camera
        return detrend.apply(
            self.pixels,
            unit.sections("data"),
            unit.sections("dest"),
            self.strip.level,
            unit.values("gain_e_per_adu"),
        )


def opened(real_data: Path, camera: str, file: str) -> Read:
    path = real_data / "frames_misc" / file
    if not path.is_file():
        pytest.skip(f"no {file} among the real observations")
    unit = cameras.load(camera, CAMERAS)
    header, pixels = rawfile.read(path, rawfile.known(unit.reading))
    unit = unit.with_header(header, path.name)
    strip = overscan.measure(pixels, unit.sections("overscan"), unit.sections("data"))
    return Read(path, unit, pixels, strip)


@pytest.fixture(scope="module")
def saao(real_data: Path) -> Read:
    return opened(real_data, *SAAO)


@pytest.fixture(scope="module")
def alfosc(real_data: Path) -> Read:
    return opened(real_data, *NOT)


def noise_of_differences(strip: NDArray) -> float:
    """Of a pixel, from neighbours along the rows: an independent way to the read noise."""
    steps = np.diff(strip.astype(np.float64), axis=1)
    return float(np.sqrt(np.mean(np.clip(steps, -50, 50) ** 2) / 2))


def test_saao_level_and_noise(saao: Read) -> None:
    (amp,) = saao.camera.amplifiers
    assert (amp.gain_e_per_adu, amp.readnoise_e) == (1.9, 5.0)  # of its cards
    assert saao.pixels.dtype == np.uint16
    assert amp.overscan is not None
    strip = saao.pixels[amp.overscan.slices]
    assert np.median(saao.strip.level) == pytest.approx(strip.mean(), abs=0.1)
    # 3.05 ADU: the header's 5 e- is a round number, the strip has 5.8.
    assert saao.strip.noise_adu[0] == pytest.approx(noise_of_differences(strip), rel=0.02)
    assert 5.0 < saao.strip.noise_adu[0] * 1.9 < 6.0


def test_saao_pixels_have_the_noise_of_their_electrons(saao: Read) -> None:
    light = saao.electrons
    steps = np.diff(light, axis=1)
    noise = 1.4826 * np.median(np.abs(steps)) / np.sqrt(2)
    read_e = saao.strip.noise_adu[0] * 1.9
    assert np.median(light) == pytest.approx(163.5, abs=0.5)
    assert noise == pytest.approx(np.sqrt(np.median(light) + read_e**2), rel=0.02)


def test_saao_is_described(saao: Read) -> None:
    facts = describe(saao.path, SURVEY, [saao.camera]).facts
    assert (facts.band, facts.obstype, facts.airmass) == ("R", "science", 1.176)
    assert facts.mjd_start == pytest.approx(56486 + (57 * 60 + 33) / 86400, abs=1e-6)
    assert facts.night == "2013-07-12"
    assert facts.ra_deg == pytest.approx(331.0333, abs=1e-4)
    assert facts.dec_deg == pytest.approx(-0.9253, abs=1e-4)


def test_not_level_and_noise(alfosc: Read) -> None:
    (amp,) = alfosc.camera.amplifiers
    assert alfosc.pixels.dtype == np.float32  # the pixels go up to 124172: more than 16 bits
    assert alfosc.pixels.max() == 124172
    assert amp.overscan is not None
    strip = alfosc.pixels[amp.overscan.slices]
    assert np.median(alfosc.strip.level) == pytest.approx(np.median(strip), abs=1.0)
    assert np.ptp(alfosc.strip.level) < 5
    # 15.3 counts of 0.33 e- are 5.0 e-, where the card says 4.2.
    assert alfosc.strip.noise_adu[0] * amp.gain_e_per_adu == pytest.approx(5.04, abs=0.05)
    assert np.median(alfosc.electrons) == pytest.approx(31809, rel=1e-3)


def test_the_bias_section_of_not_holds_light(alfosc: Read) -> None:
    """BIASSEC = [3:52,...], but light begins at column 51: the description does not follow it."""
    found, _, _ = inspect(alfosc.path, alfosc.camera, SURVEY)
    assert found.problems == []
    assert found.doubts == []
    assert found.facts["header_scale_arcsec"] == pytest.approx(0.1903, abs=1e-4)
    assert found.cards["BIASSEC"] == "[3:52,1:2052]"
    assert np.median(alfosc.pixels[:2050, 50]) > 8 * np.median(alfosc.pixels[:2050, 49])


def test_both_are_taken_in_by_the_ordinary_commands(
    real_data: Path, tmp_path: Path, saao: Read, alfosc: Read
) -> None:
    folder = tmp_path / "survey"
    (folder / "cameras").mkdir(parents=True)
    for name, _ in (SAAO, NOT):
        text = (CAMERAS / f"{name}.toml").read_text(encoding="utf-8")
        (folder / "cameras" / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "survey.toml").write_text(_SURVEY_TOML, encoding="utf-8")
    well("init", tmp_path / "site", "--survey", folder / "survey.toml")
    said = tesela("ingest", saao.path, alfosc.path, "--site", tmp_path / "site", "--json")
    assert [row["outcome"] for row in said.data] == ["taken", "taken"], said.out
    for name, file in (SAAO, NOT):
        checked = well("camera", "check", CAMERAS / f"{name}.toml",
                       real_data / "frames_misc" / file, "--json")  # fmt: skip
        assert checked.data["frames"][0]["problems"] == []


_SURVEY_TOML = """
name = "misc"
cameras = ["ste3", "alfosc"]
refcat = "none"

[filters.R]
names = ["48"]
[filters.R.reference]
mag = "r"

[filters.g]
names = ["g'_SDSS 480_145"]
[filters.g.reference]
mag = "g"

[grid]
scheme = "list"
pixel_scale_arcsec = 0.3
size_px = [100, 100]
centres = { "A" = [331.03, -0.92] }
"""
