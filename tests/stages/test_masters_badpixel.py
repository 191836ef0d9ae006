"""Bad pixels drawn into a detector are found in its masters, and few others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.errors import BadInput, QualityError
from tesela.products.images import Master, card_dict
from tesela.products.maskbit import MaskBit
from tesela.stages import masters

from . import drawn

SIZE = 640
CAMERA = drawn.camera(SIZE)
SETTINGS = masters.MastersSettings()
READOUT_S = 8.0
Bools = NDArray[np.bool_]


class Detector:
    """Hot pixels, columns with too little response and columns with too much charge."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        self.hot = np.zeros((SIZE, SIZE))
        n = 200
        where = rng.integers(0, SIZE, n), rng.integers(0, SIZE, n)
        self.hot[where] = np.maximum(3.0, np.exp(rng.normal(np.log(12), 1, n)))
        self.response = 1 - 0.1 * ((x - SIZE / 2) ** 2 + (y - SIZE / 2) ** 2) / (SIZE**2 / 2)
        self.charge = np.zeros((SIZE, SIZE))
        self.bad: Bools = self.hot > 0
        for i in range(8):
            column, begin = rng.integers(1, SIZE - 1), rng.integers(0, SIZE // 2)
            rows = slice(begin, SIZE // 2 if i < 6 else begin + 30)
            if i % 2:
                self.charge[rows, column] = rng.uniform(80, 400)
            else:
                self.response[rows, column] *= rng.uniform(0.05, 0.6)
            self.bad[rows, column] = True
        self.glow_e = 12 * np.exp(-x / 70) * np.exp(-y / 60)
        self.pixel = rng.standard_normal((2, SIZE, SIZE))
        self.rng = rng

    def frame(
        self, light_e: NDArray[np.float64], exptime_s: float, seed: int
    ) -> NDArray[np.uint16]:
        dark = self.rng.poisson(self.hot * (READOUT_S + exptime_s)) + self.charge
        raw = drawn.raw(light_e * self.response + dark, seed, CAMERA).astype(float)
        for amp in CAMERA.amplifiers:
            raw[amp.data.slices] += self.glow_e[amp.dest.slices] / drawn.GAIN
        return np.rint(raw).astype(np.uint16)

    def light(self, band: int) -> NDArray[np.float64]:
        """Twilight through a filter with a ring of dust, on pixels that differ by 1 %."""
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        r = np.hypot(x - 200 - 90 * band, y - 330)
        ring = 0.02 / (1 + np.exp((r - 30) / 1.5)) - 0.02 / (1 + np.exp((r - 12) / 1.5))
        return np.asarray(20000 * (1 - ring) * (1 + 0.01 * self.pixel[band]))


def raw_inputs(
    kind: str,
    frames: Sequence[NDArray[np.uint16]],
    made: Mapping[str, Master],
    band: str = "r",
) -> masters.RawInputs:
    facts = [drawn.facts(f"{kind}{i}", kind, size=SIZE) for i in range(len(frames))]
    facts = [type(f).from_dict({**f.as_dict(), "band": band}) for f in facts]
    return masters.RawInputs(
        f"{kind.upper()}.test", CAMERA, masters=made, facts=facts,
        headers=[{}] * len(frames), pixels=frames,
    )  # fmt: skip


@cache
def parts() -> tuple[Detector, dict[str, list[Master]]]:
    """A night of that detector: eight biases and five flats in each of two filters."""
    unit = Detector(4)
    biases = [unit.frame(np.zeros((SIZE, SIZE)), 0.0, i) for i in range(8)]
    bias = masters.build_bias(raw_inputs("bias", biases, {}), SETTINGS.bias).master
    flats = []
    for band in (0, 1):
        frames = [unit.frame(unit.light(band), 5.0, 20 + 10 * band + i) for i in range(5)]
        inputs = raw_inputs("flat", frames, {"BIAS": bias}, "ri"[band])
        flats.append(masters.build_flat(inputs, SETTINGS.flat).master)
    return unit, {"BIAS": [bias], "FLAT": flats}


def join(made: Mapping[str, Sequence[Master]], **more: object) -> masters.MasterOutputs:
    inputs = masters.CombinedInputs("BADPIXEL.test", CAMERA, parts=made, **more)  # type: ignore[arg-type]
    return masters.build_badpixel(inputs, SETTINGS.badpixel)


def empty(kind: str, camera: Camera = CAMERA, **cards: str) -> Master:
    return Master(
        kind,
        np.empty((0, 0), np.float32),
        np.zeros(camera.shape, np.uint8),
        [(k, v, "") for k, v in cards.items()],
    )


def test_injected_bad_pixels_are_found_and_few_others() -> None:
    unit, made = parts()
    out = join(made)
    found = out.master.mask == MaskBit.BAD
    recall = (found & unit.bad).sum() / unit.bad.sum()
    false = (found & ~unit.bad).sum() / unit.bad.size
    assert recall >= 0.99
    assert false <= 1e-4
    assert out.passed
    assert out.master.image.size == 0


def test_reasons_are_counted_by_class() -> None:
    out = join(parts()[1])
    cards = card_dict(out.master.cards)
    assert out.metrics["n_hot_bias"] == cards["TSL N HOT_BIAS"] > 150
    assert out.metrics["n_response"] > 300
    assert out.metrics["n_bad"] == sum(row["n_bad"] for row in out.metrics["amplifiers"])
    assert cards["NBAD"] == np.count_nonzero(out.master.mask)


def test_a_speck_in_one_filter_is_dust_and_in_two_the_detector() -> None:
    flats = [empty("FLAT", FILTER=band) for band in ("r", "i", "z")]
    flats[0].mask[3, 3] = flats[0].mask[5, 5] = flats[2].mask[5, 5] = MaskBit.BAD
    found = np.argwhere(join({"FLAT": flats}).master.mask)
    assert found.tolist() == [[5, 5]]
    alone = np.argwhere(join({"FLAT": flats[:1]}).master.mask)
    assert alone.tolist() == [[3, 3], [5, 5]]


def test_flats_of_the_sky_and_the_dome_in_one_filter_are_one_vote() -> None:
    sky, dome, other = empty("FLAT", FILTER="r"), empty("DOMEFLAT", FILTER="r"), empty("FLAT")
    sky.mask[3, 3] = dome.mask[3, 3] = MaskBit.BAD
    assert not join({"FLAT": [sky, other], "DOMEFLAT": [dome]}).master.mask.any()


def test_hot_pixels_of_biases_and_darks_need_no_second_witness() -> None:
    bias, dark = empty("BIAS"), empty("DARK")
    bias.mask[1, 1], dark.mask[2, 2] = MaskBit.BAD, MaskBit.BAD
    out = join({"BIAS": [bias], "DARK": [dark]})
    assert np.argwhere(out.master.mask).tolist() == [[1, 1], [2, 2]]
    assert (out.metrics["n_hot_bias"], out.metrics["n_hot_dark"]) == (1, 1)


def test_gaps_of_a_column_are_closed_and_neighbours_by_chance_are_not() -> None:
    bias = empty("BIAS")
    bias.mask[100:200:2, 50] = MaskBit.BAD
    bias.mask[300:304, 70] = MaskBit.BAD
    bias.mask[318:321, 70] = MaskBit.BAD
    mask = join({"BIAS": [bias]}).master.mask
    assert (mask[100:199, 50] == MaskBit.BAD).all()
    assert np.count_nonzero(mask[:, 50]) == 99
    assert np.count_nonzero(mask[:, 70]) == 7


def test_a_detector_that_changed_is_not_certified() -> None:
    before, now = empty("BADPIXEL"), empty("BIAS")
    now.mask[:, 10:12] = MaskBit.BAD
    out = join({"BIAS": [now]}, previous=before)
    assert not out.passed
    assert f"{2 * SIZE} bad pixels are new and 0 are gone" in out.reasons[0]
    now.mask[:, :20] = MaskBit.BAD
    assert "% of the pixels are bad, 1.00 % allowed" in join({"BIAS": [now]}).reasons[0]


def test_no_master_and_a_master_of_another_shape_are_refused() -> None:
    with pytest.raises(QualityError, match=r"0 usable badpixel masters.*at least 1"):
        join({})
    with pytest.raises(BadInput, match="master FLAT"):
        join({"FLAT": [empty("FLAT", drawn.camera(96))]})
