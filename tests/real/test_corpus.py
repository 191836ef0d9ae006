"""Hundreds of foreign, odd and broken files: each is refused with a sentence, none is a crash."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tesela import cameras, config
from tesela.errors import BadInput
from tesela.stages.ingest.describe import describe

from .conftest import SURVEY

pytestmark = pytest.mark.real

SURVEY_OF_ALL = config.load_survey(SURVEY)
CAMERAS = [cameras.load(name) for name in cameras.names()]


def sentence(path: Path) -> str:
    """What is said of a file; empty if it is taken."""
    try:
        describe(path, SURVEY_OF_ALL, CAMERAS)
    except BadInput as error:
        return str(error)
    return ""


def assert_good_sentence(path: Path, said: str) -> None:
    """One line that names the file, says what was expected and what to do."""
    assert said.startswith((f"{path.name}: ", f"{path.name!r}: ")), said
    assert "expected" in said
    assert said.count("; ") >= 2, said
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize("folder", ["frames_misc", "fits_corpus"])
def test_frames_of_other_telescopes_are_refused(real_data: Path, folder: str) -> None:
    files = [path for path in sorted((real_data / folder).rglob("*")) if path.is_file()]
    assert len(files) > 20
    for path in files:
        said = sentence(path)
        assert said, path
        assert_good_sentence(path, said)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_copies_of_foreign_files(real_data: Path, tmp_path: Path, seed: int) -> None:
    files = sorted(path for path in (real_data / "fits_corpus").rglob("*.fits*") if path.is_file())
    random_ = random.Random(seed)
    for source in random_.sample(files, 6):
        blob = bytearray(source.read_bytes())
        for _ in range(5):
            blob[random_.randrange(min(len(blob), 6000))] ^= 1 << random_.randrange(8)
        path = tmp_path / source.name
        path.write_bytes(blob[: random_.randrange(1, len(blob))])
        said = sentence(path)
        assert said, path
        assert_good_sentence(path, said)


@pytest.mark.parametrize("seed", range(10))
def test_a_real_frame_with_flipped_bits_is_taken_or_refused(
    real_data: Path, tmp_path: Path, seed: int
) -> None:
    source = real_data / "cafos_ngc2420" / "science_V" / "uamA_0031.fits"
    original, random_ = source.read_bytes(), random.Random(seed)
    for copy in range(6):
        blob = bytearray(original)
        for _ in range(6):
            blob[random_.randrange(2880 * 3)] ^= 1 << random_.randrange(8)
        path = tmp_path / f"copy{copy}.fits"
        path.write_bytes(blob)
        if said := sentence(path):
            assert_good_sentence(path, said)


def test_a_truncated_real_frame_is_refused_wherever_it_ends(
    real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "cafos_ngc2420" / "science_V" / "uamA_0031.fits"
    whole, random_ = source.read_bytes(), random.Random(1)
    assert sentence(source) == ""
    for n in [1, 79, 2879, 2880, len(whole) - 2880, *random_.sample(range(len(whole) - 2880), 8)]:
        path = tmp_path / "cut.fits"
        path.write_bytes(whole[:n])
        assert_good_sentence(path, sentence(path))
