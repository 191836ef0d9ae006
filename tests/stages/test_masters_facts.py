"""Facts and previews: whatever the kind, a master's page says what it is made of and holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.products.monitor import AmpValue
from tesela.stages.masters.about import about
from tesela.stages.masters.inputs import CombinedInputs, MasterInputs, MasterOutputs, RawInputs
from tesela.stages.masters.pages import facts
from tesela.stages.masters.settings import BiasSettings, StabilitySettings

from . import drawn

SIZE = 96
CAMERA = drawn.camera(SIZE)


def image_master(kind: str) -> Master:
    rng = np.random.default_rng(2)
    image = (1 + 0.01 * rng.standard_normal((SIZE, SIZE))).astype(np.float32)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10, 20:24] = MaskBit.BAD
    image[10, 20:24] = 1000
    return Master(kind, image, mask, [("MSTKIND", kind, ""), ("NCOMBINE", 3, "")])


def arrays_master(kind: str, **arrays: np.ndarray) -> Master:
    nothing = np.empty((0, 0), np.float32)
    return Master(kind, nothing, nothing.astype(np.uint8), [("MSTKIND", kind, "")], dict(arrays))


def outputs(master: Master) -> MasterOutputs:
    return MasterOutputs(
        master,
        passed=False,
        reasons=["too wild"],
        warnings=["only 2 frames"],
        rejected={"f1": "saturated"},
        metrics={"fraction_within": np.float32(0.5), "lost": np.nan},
        operations=[Operation("combine", {"sigma": 3.0})],
        monitored=[AmpValue(1, "gain", 0.95)],
    )


def inputs() -> RawInputs:
    names = [drawn.facts(f"f{i}", "bias", size=SIZE) for i in range(3)]
    return RawInputs("BIAS.test", CAMERA, facts=names, wanted=10, minimum=2)


def test_facts_tell_frames_gates_and_amplifiers() -> None:
    told = json.loads(
        facts.draw(inputs(), outputs(image_master("BIAS")), BiasSettings())["facts.json"]
    )
    assert told["kind"] == "BIAS"
    assert told["used"] == ["f0", "f2"]
    assert told["rejected"] == {"f1": "saturated"}
    assert (told["passed"], told["reasons"], told["warnings"]) == (
        False, ["too wild"], ["only 2 frames"],
    )  # fmt: skip
    assert told["settings"]["clip_sigma"] == BiasSettings().clip_sigma
    assert told["operations"] == [{"name": "combine", "sigma": 3.0}]
    assert told["metrics"] == {"fraction_within": 0.5, "lost": None}
    assert told["mask"] == {"BAD": 4}
    assert told["monitored"][0]["metric"] == "gain"
    first = told["amplifiers"][0]
    assert first["median"] == pytest.approx(1, abs=1e-3)
    assert first["scatter"] == pytest.approx(0.01, rel=0.1)
    assert first["largest"] < 2  # a bad pixel is no value
    assert first["masked"] == pytest.approx(4 / (SIZE * SIZE / 2))


@pytest.mark.parametrize(
    "master",
    [
        *(image_master(kind) for kind in ("BIAS", "DARK", "FLAT", "FRINGE")),
        Master("BADPIXEL", np.empty((0, 0), np.float32), image_master("BIAS").mask),
        arrays_master("CROSSTALK", matrix=np.eye(2), error=np.ones((2, 2))),
        arrays_master("LINEARITY", coefficients=np.ones((2, 2)), pivot_adu=np.array([6e4])),
        arrays_master("ILLUMINATION", map=-np.ones((5, 6)), error=np.ones((5, 6))),
    ],
    ids=lambda m: m.kind,
)
def test_every_kind_has_a_preview_and_the_same_bytes_again(master: Master) -> None:
    first = facts.draw(inputs(), outputs(master), BiasSettings())
    assert set(first) == {"facts.json", "preview.png"}
    assert first["preview.png"].startswith(b"\x89PNG")
    assert facts.draw(inputs(), outputs(master), BiasSettings()) == first


def test_a_few_numbers_are_not_drawn_as_a_map() -> None:
    master = arrays_master(
        "ILLUMINATION", map=-np.ones((33, 33)), error=np.ones((33, 33)), plane=np.ones(2),
        zeropoints=np.ones(12), coefficients=np.ones(9), correlation=np.eye(2),
    )  # fmt: skip
    picture = facts.preview(master, CAMERA, "")
    assert picture is not None
    assert [axes.get_title() for axes in picture.axes if axes.images] == ["map", "error"]
    assert facts.preview(arrays_master("ILLUMINATION", plane=np.ones(2)), CAMERA, "") is None


def test_the_band_in_the_histogram_is_the_grey_scale_of_the_picture() -> None:
    rng = np.random.default_rng(3)
    # Larger than the picture, so that this is binned and scatters less than the pixels.
    image = rng.standard_normal((1200, 1200)).astype(np.float32)
    picture = facts.preview(Master("FLAT", image, np.zeros(image.shape, np.uint8)), CAMERA, "")
    assert picture is not None
    by_title = {axes.get_title(): axes for axes in picture.axes}
    (band,) = [
        patch for patch in by_title["Good pixels"].patches
        if patch.get_label() == "grey scale of the picture"
    ]  # fmt: skip
    (low, _), (high, _) = band.get_extents().transformed(
        by_title["Good pixels"].transData.inverted()
    ).get_points()  # fmt: skip
    assert (low, high) == pytest.approx(picture.axes[0].images[0].get_clim(), rel=1e-4)
    assert high < 0.7 * np.percentile(image, 99)


def test_a_master_of_masters_names_its_parts() -> None:
    given = CombinedInputs("BADPIXEL.test", CAMERA, parts={"FLAT": [image_master("FLAT")]})
    made = outputs(Master("BADPIXEL", np.empty((0, 0), np.float32), image_master("BIAS").mask))
    told = facts.facts(given, made, BiasSettings())
    assert told["used"] == ["FLAT of 3 frames"]
    assert told["amplifiers"] == []


def test_a_flat_is_compared_with_its_reference_and_nothing_else_is() -> None:
    flat = image_master("FLAT")
    lower = image_master("FLAT")
    lower.image[:, : SIZE // 2] *= 0.98
    watch = StabilitySettings()

    def told(master: Master, reference: Master | None):  # type: ignore[no-untyped-def]
        given = MasterInputs("FLAT.test", CAMERA, reference=reference)
        return about(given, outputs(master), BiasSettings(), watch)

    found = told(lower, flat)
    assert {"facts.json", "preview.png", "ratio.png", "ratio.json", "ratio.fits"} == set(
        found.pages
    )
    assert found.metrics["alert"] == "alarm"
    assert any("amplifier 1 changed" in says for says in found.warnings)
    assert [v.metric for v in found.monitored] == ["flat_ratio"] * 2 + ["flat_dust"]
    assert told(flat, flat).warnings == []
    assert set(told(flat, None).pages) == {"facts.json", "preview.png"}
    assert set(told(image_master("BIAS"), flat).pages) == {"facts.json", "preview.png"}
