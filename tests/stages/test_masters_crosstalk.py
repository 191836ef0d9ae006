"""Crosstalk masters: the matrix drawn comes back; frames that tell nothing or lie are left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from tesela.errors import BadInput, QualityError
from tesela.products.images import Master
from tesela.stages.masters import RawInputs
from tesela.stages.masters.crosstalk import build_crosstalk
from tesela.stages.masters.inputs import MasterOutputs
from tesela.stages.masters.pages import crosstalk as page
from tesela.stages.masters.settings import CrosstalkSettings

from . import drawn

SIZE = 320
CAMERA = drawn.camera(SIZE)
SETTINGS = CrosstalkSettings()
MATRIX = np.array([[0.0, 4e-4], [2.5e-4, 0.0]])
OFF = ~np.eye(2, dtype=bool)


def frame(seed: int, matrix: np.ndarray = MATRIX, brightest_e: float = 2e5) -> np.ndarray:
    """A raw frame of stars, some saturated, in which each amplifier hears the other."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), drawn.SKY_E)
    n = 90
    x, y = rng.uniform(3, SIZE - 3, (2, n))
    flux = 9 * np.exp(rng.uniform(np.log(100), np.log(brightest_e), n))
    drawn.moffat(image, x, y, flux, 3.0)
    charge = rng.poisson(image).astype(float)
    parts = [charge[amp.dest.slices][:, :: -1 if amp.flip_x else 1] for amp in CAMERA.amplifiers]
    out = rng.normal(drawn.LEVEL_ADU, drawn.NOISE_E / drawn.GAIN, (SIZE, CAMERA.raw_nx))
    for victim, amp in enumerate(CAMERA.amplifiers):
        heard = parts[victim] + sum(matrix[victim, a] * parts[a] for a in range(2))
        out[amp.data.slices] += heard[:, :: -1 if amp.flip_x else 1] / drawn.GAIN
    return np.clip(np.rint(out), 0, 60000).astype(np.uint16)


def inputs(frames: list[np.ndarray], **more: object) -> RawInputs:
    given = {
        "masters": {"BIAS": drawn.perfect("BIAS", SIZE)},
        "facts": [drawn.facts(f"sky{i:02d}", size=SIZE) for i in range(len(frames))],
        "headers": [{}] * len(frames),
        "pixels": frames,
        **more,
    }
    return RawInputs("CROSSTALK.test", CAMERA, **given)  # type: ignore[arg-type]


FRAMES = [frame(i) for i in range(10)]


@pytest.fixture(scope="module")
def made() -> MasterOutputs:
    return build_crosstalk(inputs(FRAMES), SETTINGS)


def test_the_matrix_comes_back(made: MasterOutputs) -> None:
    arrays = made.master.arrays
    assert made.passed, made.reasons
    assert made.rejected == {}
    assert np.abs(arrays["matrix"] - MATRIX)[OFF].max() < 2e-5
    assert np.abs(arrays["matrix"] - MATRIX)[OFF].max() < 4 * arrays["error"][OFF].max()
    assert np.all(np.diag(arrays["matrix"]) == 0)
    assert made.metrics["n_significant"] == 2


def test_victims_are_monitored(made: MasterOutputs) -> None:
    assert [(v.amp, v.metric) for v in made.monitored] == [(1, "crosstalk"), (2, "crosstalk")]
    assert made.monitored[0].value == pytest.approx(4e-4, abs=3e-5)
    assert made.monitored[0].n == 10


def test_pages_and_file(made: MasterOutputs, tmp_path) -> None:
    assert set(made.pages) == {"crosstalk.png", "crosstalk.json"}
    numbers = json.loads(made.pages["crosstalk.json"])
    assert np.allclose(numbers["matrix"], made.master.arrays["matrix"], rtol=1e-5)
    made.master.write(tmp_path / "m.fits")
    assert Master.read(tmp_path / "m.fits").data_hash() == made.master.data_hash()


@pytest.mark.parametrize("largest", [1e-3, 0.3, 1.0, 1.13, 4.9, 37.0])
def test_the_scale_names_a_number_beyond_the_largest_coefficient(largest: float) -> None:
    marks = page._marks(largest)
    assert marks[-1] == -marks[0]
    assert largest <= marks[-1] <= 2 * largest


@pytest.mark.parametrize("n", [2, 16, 19, 64])
def test_the_first_and_the_last_amplifier_are_named(n: int) -> None:
    axes = Figure().subplots()
    page._heat(axes, np.zeros((n, n)), list(range(1, n + 1)), "viridis", (0, 1))
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert (names[0], names[-1], len(names)) == ("1", str(n), min(n, 16))


def test_order_does_not_matter(made: MasterOutputs) -> None:
    given = inputs(FRAMES)
    turned = replace(given, facts=given.facts[::-1], pixels=given.pixels[::-1])
    again = build_crosstalk(turned, SETTINGS)
    assert again.master.data_hash() == made.master.data_hash()
    assert again.pages == made.pages


def test_frames_that_disagree_tell_nothing_or_are_foreign_are_left_out(
    made: MasterOutputs,
) -> None:
    frames = [*FRAMES, frame(50, 8 * MATRIX), frame(51, brightest_e=300.0), frame(52), frame(53)]
    frames[13] = np.full_like(frames[13], 60000)
    given = inputs(frames)
    facts = list(given.facts)
    facts[12] = replace(facts[12], readout_mode="FAST")
    found = build_crosstalk(replace(given, facts=facts), SETTINGS)
    assert set(found.rejected) == {"sky10", "sky11", "sky12", "sky13"}
    assert "differ from the median of all: chi squared" in found.rejected["sky10"]
    assert found.rejected["sky11"] == "no pixel above 2000 electrons"
    assert found.rejected["sky12"] == "read-out mode FAST where most have -"
    assert found.rejected["sky13"].endswith("% of the pixels saturated")
    assert found.master.data_hash() == made.master.data_hash()


class Damaged:
    """A file of which the pixels cannot be read."""

    def __init__(self, frame: np.ndarray) -> None:
        self.shape = frame.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        raise BadInput("a file", found="data contradict DATASUM", expected="a sound file")


def test_the_level_that_was_subtracted_is_told(made: MasterOutputs) -> None:
    assert made.operations[0].parameters["level_adu"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)


def test_a_damaged_file_is_one_frame_less(made: MasterOutputs) -> None:
    found = build_crosstalk(inputs([*FRAMES, Damaged(FRAMES[0])]), SETTINGS)  # type: ignore[list-item]
    assert found.rejected == {"sky10": "data contradict DATASUM"}
    assert found.master.data_hash() == made.master.data_hash()


def test_too_few_frames(made: MasterOutputs) -> None:
    few = build_crosstalk(inputs(FRAMES[:2], wanted=20), SETTINGS)
    assert few.warnings == ["only 2 frames combined where 20 are wanted"]
    assert not few.passed
    assert "typical error of a coefficient" in few.reasons[0]
    with pytest.raises(QualityError, match=r"2 usable crosstalk frames.*CROSSTALK"):
        build_crosstalk(inputs(FRAMES[:2], minimum=3), SETTINGS)
    with pytest.raises(QualityError, match=r"rejected: sky00 \(no pixel above"):
        build_crosstalk(inputs([frame(51, brightest_e=300.0)]), SETTINGS)
    with pytest.raises(QualityError, match="no master bias"):
        build_crosstalk(inputs(FRAMES[:2], masters={}), SETTINGS)


def test_gates_compare_with_the_predecessor(made: MasterOutputs) -> None:
    same = build_crosstalk(inputs(FRAMES, previous=made.master), SETTINGS)
    assert same.passed, same.reasons
    assert same.metrics["largest_change"] < 1e-5
    old = Master(
        "CROSSTALK", made.master.image, made.master.mask, [],
        {**made.master.arrays, "matrix": made.master.arrays["matrix"] + 2e-4 * OFF},
    )  # fmt: skip
    changed = build_crosstalk(inputs(FRAMES, previous=old), SETTINGS)
    assert not changed.passed
    assert "2 coefficients changed, most that of amplifier" in changed.reasons[0]
