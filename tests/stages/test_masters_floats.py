"""Masters of frames of floats: pixels without a number are left out of what is combined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.products.images import Master
from tesela.stages import masters

from . import drawn

SETTINGS = masters.MastersSettings()
CAMERA = drawn.camera()
ALWAYS, SOMETIMES = (slice(50, 53), 70), (slice(200, 240), slice(100, 140))


def frames(level_e: float, n: int = 5) -> list[NDArray[np.float32]]:
    """Raw frames of a uniform light; some pixels never give a number, a box does not in one."""
    made = []
    for seed in range(n):
        raw = drawn.raw(np.full((drawn.SIZE, drawn.SIZE), level_e), seed, CAMERA)
        floats = raw.astype(np.float32)
        floats[ALWAYS] = np.nan
        made.append(floats)
    made[2][SOMETIMES] = np.nan
    return made


def inputs(
    kind: str, raw: list[NDArray[np.float32]], needs: dict[str, Master]
) -> masters.RawInputs:
    return masters.RawInputs(
        kind.upper(),
        CAMERA,
        masters=needs,
        facts=[drawn.facts(f"{kind}{i}", kind) for i in range(len(raw))],
        headers=[{}] * len(raw),
        pixels=raw,
    )


@pytest.fixture(scope="module")
def bias() -> Master:
    return masters.build_bias(inputs("bias", frames(0.0), {}), SETTINGS.bias).master


def test_bias(bias: Master) -> None:
    assert np.isfinite(bias.image).all()
    assert np.abs(np.median(bias.image)) < 0.1
    noise = drawn.NOISE_E / drawn.GAIN / np.sqrt(4)
    assert bias.image[SOMETIMES].std() == pytest.approx(noise, rel=0.1)
    assert (bias.mask[ALWAYS] > 0).all()


def test_flat_and_dark(bias: Master) -> None:
    made = masters.build_dark(inputs("dark", frames(0.0), {"BIAS": bias}), SETTINGS.dark)
    assert np.nanmedian(made.master.image) == pytest.approx(0.0, abs=0.01)
    needs = {"BIAS": bias, "DARK": made.master}
    made = masters.build_flat(inputs("flat", frames(30000.0), needs), SETTINGS.flat)
    assert made.passed, made.reasons
    flat = made.master
    assert np.nanmedian(flat.image) == pytest.approx(1.0, abs=1e-3)
    assert flat.image[SOMETIMES].mean() == pytest.approx(1.0, abs=1e-3)
    unit = drawn.calset({"BIAS": bias, "DARK": needs["DARK"], "FLAT": flat}, CAMERA)
    assert unit.bad[ALWAYS].all()
    assert np.count_nonzero(unit.bad) < 20
