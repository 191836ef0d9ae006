"""One bad frame among good ones is left out, and the reason names what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from tesela.errors import BadInput, QualityError
from tesela.products import rawfile
from tesela.products.images import Master, card_dict
from tesela.products.monitor import QUANTITIES, WHOLE_CCD
from tesela.stages import masters

from . import drawn

SIZE = 256
CAMERA = drawn.camera(SIZE)
SETTINGS = masters.MastersSettings()
Raw = NDArray[np.uint16]
Y, X = np.mgrid[0:SIZE, 0:SIZE]


def exposures(n: int, light_e: NDArray[np.float64] | float = 0.0, seed: int = 0) -> list[Raw]:
    scene = np.broadcast_to(np.asarray(light_e, float), (SIZE, SIZE))
    return [drawn.raw(scene, seed + i, CAMERA) for i in range(n)]


def spoiled(frame: Raw, change: Callable[[NDArray[np.float64]], object], amp: int = 1) -> Raw:
    """A frame of which the data section of one amplifier is changed."""
    out = frame.astype(float)
    change(out[CAMERA.amplifiers[amp - 1].data.slices])
    return np.clip(np.rint(out), 0, 65535).astype(np.uint16)


def inputs(kind: str, frames: Sequence[Raw], **more: object) -> masters.RawInputs:
    facts = [drawn.facts(f"{kind}{i}", kind, size=SIZE) for i in range(len(frames))]
    given: dict[str, object] = {
        "facts": facts,
        "headers": [{"CCD-TEMP": -110.0 + 0.1 * i} for i in range(len(frames))],
        "pixels": frames,
    }
    return masters.RawInputs(f"{kind.upper()}.test", CAMERA, **(given | more))  # type: ignore[arg-type]


def bias(frames: Sequence[Raw], **more: object) -> masters.MasterOutputs:
    return masters.build_bias(inputs("bias", frames, **more), SETTINGS.bias)


def flat(frames: Sequence[Raw], **more: object) -> masters.MasterOutputs:
    more = {"masters": {"BIAS": drawn.perfect("BIAS", SIZE)}} | more
    return masters.build_flat(inputs("flat", frames, **more), SETTINGS.flat)


def dark(frames: Sequence[Raw], **more: object) -> masters.MasterOutputs:
    more = {"masters": {"BIAS": drawn.perfect("BIAS", SIZE)}} | more
    return masters.build_dark(inputs("dark", frames, **more), SETTINGS.dark)


def _noisy(part: NDArray[np.float64]) -> None:
    part += np.random.default_rng(1).normal(0, 3.0, part.shape)


def _rows(part: NDArray[np.float64]) -> None:
    part += 4 * np.sin(np.arange(part.shape[0]) / 3.0)[:, None]


def _columns(part: NDArray[np.float64]) -> None:
    part += 4 * np.sin(np.arange(part.shape[1]) / 3.0)[None, :]


def _level(part: NDArray[np.float64]) -> None:
    part -= 80


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_level, "level -80"),
        (_noisy, "noise 4.0"),
        (_rows, "mean rows of amplifier 2 differ by 2.9 ADU rms"),
        (_columns, "mean columns of amplifier 2 differ by 2.9 ADU rms"),
    ],
)
def test_one_bad_bias_among_ten_is_left_out(
    change: Callable[[NDArray[np.float64]], object], said: str
) -> None:
    frames = exposures(10)
    frames[4] = spoiled(frames[4], change, amp=2)
    made = bias(frames)
    assert list(made.rejected) == ["bias4"]
    assert said in made.rejected["bias4"]
    assert "amplifier 2" in made.rejected["bias4"]
    assert made.metrics["n_combined"] == 9
    clean = frames[:4] + frames[5:]
    assert made.master.data_hash() == bias(clean).master.data_hash()


def test_ten_good_biases_are_all_kept() -> None:
    assert bias(exposures(10)).rejected == {}


def row_noise(frame: Raw, seed: int) -> Raw:
    """Each amplifier's rows, with their overscan, wander by 0.4 ADU rms with a spectrum of 1/f."""
    rng = np.random.default_rng(seed)
    out = frame.astype(float)
    for amp in CAMERA.amplifiers:
        frequency = np.maximum(np.arange(SIZE // 2 + 1), 1)
        wave = np.fft.irfft(
            np.exp(2j * np.pi * rng.uniform(size=SIZE // 2 + 1)) / np.sqrt(frequency), SIZE
        )
        wave *= 0.4 / wave.std()
        level = rng.normal(0, 10)
        for part in (amp.data, amp.overscan):
            assert part is not None
            out[part.slices] += (wave + level)[:, None]
    return np.rint(out).astype(np.uint16)


@pytest.mark.parametrize("seed", range(5))
def test_biases_whose_rows_wander_are_all_kept(seed: int) -> None:
    frames = exposures(10, seed=100 * seed)
    found = bias([row_noise(frame, 100 * seed + i) for i, frame in enumerate(frames)])
    assert found.rejected == {}


@pytest.mark.parametrize("step", [1, 5, 45, -1])
def test_an_amplifier_that_is_off_its_overscan_by_one_adu_rejects_the_frame(step: int) -> None:
    frames = [row_noise(frame, i) for i, frame in enumerate(exposures(10))]
    frames[6] = spoiled(frames[6], lambda part: part.__iadd__(step), amp=2)
    made = bias(frames)
    assert list(made.rejected) == ["bias6"]
    assert "ADU in amplifier 2, " in made.rejected["bias6"]


def test_two_biases_that_disagree_are_both_kept_and_need_a_person() -> None:
    one, other = exposures(2)
    assert bias([one, other]).passed
    for change in (lambda frame: frame + 120, lambda frame: spoiled(frame, _raise)):
        made = bias([one, change(other)])
        assert made.rejected == {}
        assert not made.passed
        assert made.reasons == made.warnings
        assert "the only two frames disagree: " in made.reasons[0]
        assert " in amplifier " in made.reasons[0]


def _raise(part: NDArray[np.float64]) -> None:
    part += 120


def test_two_flats_that_disagree_are_both_kept_and_need_a_person() -> None:
    assert flat(even(n=2)).passed
    tilted = exposures(1, 30000 * (1 + 0.1 * (X / SIZE - 0.5)), 7)
    made = flat([*even(n=1), *tilted])
    assert made.rejected == {}
    assert not made.passed
    assert made.reasons == made.warnings
    assert "their light on large scales differs by" in made.reasons[0]


def test_most_frames_rejected_or_many_pixels_bad_need_a_person() -> None:
    dim = exposures(4, 3000.0, 20)
    made = flat([*even(n=3), *dim])
    assert len(made.rejected) == 4
    assert made.reasons == ["4 of 7 frames rejected, 50% allowed: look at the reasons"]
    assert flat([*even(n=4), *dim]).passed
    spotted = 30000.0 * np.where((X % 5 == 0) & (Y % 5 == 0), 0.7, 1.0)
    first = flat(exposures(4, spotted, 30))
    assert not first.passed
    assert first.reasons == ["4.1% of the pixels marked bad, 2.0% allowed"]
    hot = bias([spoiled(frame, _hot) for frame in exposures(5)])
    assert any("of the pixels marked bad, 2.0% allowed" in reason for reason in hot.reasons)


def _hot(part: NDArray[np.float64]) -> None:
    part[::4, ::4] += 200


def test_flats_of_two_pieces_of_glass_are_not_mixed() -> None:
    facts = [drawn.facts(f"flat{i}", "flat", size=SIZE) for i in range(5)]
    facts[3] = replace(facts[3], filter_serial="14")
    made = flat(even(n=5), facts=facts)
    assert made.rejected == {"flat3": "filter serial 14 where most have -"}


def test_structure_comes_back_to_a_tenth_of_an_electron() -> None:
    """Mean rows, mean columns and means of 64 x 64 pixels, of thirty biases."""
    rng = np.random.default_rng(3)
    structure = 3 * np.exp(-X / 40) + rng.normal(0, 0.4, SIZE)[None, :]
    frames = [
        np.rint(_with_structure(frame, structure)).astype(np.uint16) for frame in exposures(30)
    ]
    found = bias(frames).master.image * drawn.GAIN
    truth = structure * drawn.GAIN
    for amp in CAMERA.amplifiers:
        error = (found - truth)[amp.dest.slices]
        noise = drawn.NOISE_E / np.sqrt(30)
        width = error.shape[1]
        # A master of 128 columns has this noise in a mean row; the overscan of 12 adds its own.
        assert error.mean(axis=1).std() < np.hypot(0.1, noise * np.hypot(1, 0.1) / np.sqrt(width))
        assert error.mean(axis=0).std() < np.hypot(0.1, noise / np.sqrt(SIZE))
        blocks = error.reshape(4, 64, width // 64, 64).mean(axis=(1, 3))
        assert np.sqrt(np.mean(blocks**2)) < 0.1


def _with_structure(frame: Raw, structure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Added before the digits: the read noise of a frame has been rounded once already."""
    out = frame.astype(float)
    for amp in CAMERA.amplifiers:
        out[amp.data.slices] += structure[amp.dest.slices]
    return out + np.random.default_rng(int(frame.sum())).uniform(-0.5, 0.5, out.shape)


def test_what_monitors_follow_of_biases() -> None:
    made = bias(exposures(8))
    values = {(v.metric, v.amp): v for v in made.monitored}
    assert {metric for metric, _ in values} <= set(QUANTITIES)
    for amp in (1, 2):
        level, noise = values["bias_level", amp], values["readnoise", amp]
        assert level.value == pytest.approx(drawn.LEVEL_ADU, abs=0.3)
        assert 0 < level.error < 0.3
        assert noise.value == pytest.approx(drawn.NOISE_E, rel=0.05)
        assert noise.n == 8
    assert values["temperature", WHOLE_CCD].value == pytest.approx(-109.65)
    assert [row["amp"] for row in made.metrics["amplifiers"]] == [1, 2]


def test_what_is_clipped_is_counted_by_frame() -> None:
    frames = exposures(9)
    before = bias(frames).metrics["clipped"]
    frames[2] = spoiled(frames[2], _block)
    after = bias(frames).metrics["clipped"]
    assert after["bias2"] - before["bias2"] == pytest.approx(256 / SIZE**2, rel=0.05)
    assert after["bias1"] == pytest.approx(before["bias1"], abs=1e-4)


def _block(part: NDArray[np.float64]) -> None:
    part[20:36, 20:36] += 20


def even(seed: int = 0, n: int = 4) -> list[Raw]:
    return exposures(n, 30000.0, seed)


def test_flats_without_light_saturated_or_half_open_are_left_out() -> None:
    half = np.where(Y < 100, 100.0, 30000.0)
    bright = np.where(X < 40, 99000.0, 30000.0)
    frames = [
        *even(),
        *exposures(1, 0.0, 50),
        *exposures(1, half, 51),
        *exposures(1, bright, 52),
        *exposures(1, 95000.0, 53),
    ]
    frames = [np.minimum(frame, 60001).astype(np.uint16) for frame in frames]
    made = flat(frames)
    assert set(made.rejected) == {"flat4", "flat5", "flat6", "flat7"}
    assert "the shutter did not open" in made.rejected["flat4"]
    assert "38 % of the CCD gets less than half the light" in made.rejected["flat5"]
    assert "of the pixels saturated" in made.rejected["flat6"]
    assert "100.0 % of the pixels saturated" in made.rejected["flat7"]
    assert made.master.data_hash() == flat(frames[:4]).master.data_hash()


def test_all_flats_empty_or_saturated_is_a_refusal_with_every_reason() -> None:
    frames = [*exposures(1, 0.0), *exposures(1, 95000.0, 9)]
    with pytest.raises(QualityError, match=r"0 usable FLAT frames.*flat0 \(.*flat1 \(") as refused:
        flat(frames)
    assert "shutter" in str(refused.value)


def test_a_star_field_is_no_flat_and_a_few_stars_are_forgiven() -> None:
    def stars(n: int, seed: int) -> Raw:
        rng = np.random.default_rng(seed)
        scene = np.full((SIZE, SIZE), 30000.0)
        x, y = rng.uniform(8, SIZE - 8, (2, n))
        drawn.moffat(scene, x, y, np.full(n, 400000.0), 3.5)
        return drawn.raw(scene, seed, CAMERA)

    frames = [*even(), stars(5, 60), stars(60, 61)]
    made = flat(frames)
    assert list(made.rejected) == ["flat5"]
    assert "compact sources, 10 allowed: stars" in made.rejected["flat5"]
    assert made.metrics["sources"]["flat4"] >= 3
    truth = flat(even(n=5)).master.image
    assert np.std(made.master.image / truth) < 1.5 * np.sqrt(2 / (5 * 30000))
    assert np.abs(made.master.image - 1).max() < 0.05


def test_a_flat_lit_otherwise_than_the_others_is_left_out() -> None:
    tilted = 30000 * (1 + 0.1 * (X / SIZE - 0.5))
    made = flat([*even(), *exposures(1, tilted, 70)])
    assert list(made.rejected) == ["flat4"]
    assert "light on large scales differs from the other flats' by 4." in made.rejected["flat4"]
    gradient = 30000 * (1 + 0.02 * (X / SIZE - 0.5))
    assert flat([*even(), *exposures(1, gradient, 70)]).rejected == {}


@pytest.mark.parametrize("build", [bias, flat])
def test_frames_of_two_readout_modes_are_not_mixed(
    build: Callable[..., masters.MasterOutputs],
) -> None:
    name = build.__name__
    frames = exposures(5) if build is bias else even(n=5)
    facts = [drawn.facts(f"{name}{i}", name, size=SIZE) for i in range(5)]
    facts[1] = replace(facts[1], readout_mode="FAST")
    made = build(frames, facts=facts)
    assert made.rejected == {f"{name}1": "read-out mode FAST where most have -"}
    facts[0] = replace(facts[0], readout_mode="FAST")
    with pytest.raises(QualityError, match="in equal number"):
        build(frames[:4], facts=facts[:4], headers=[{}] * 4)


def test_frames_of_another_size_or_filter_are_left_out() -> None:
    frames = [*even(n=3), np.ones((9, 9), np.uint16)]
    assert "9 x 9 pixels where most have" in flat(frames).rejected["flat3"]
    facts = [drawn.facts(f"flat{i}", "flat", size=SIZE) for i in range(3)]
    facts[2] = replace(facts[2], band="z")
    assert flat(frames[:3], facts=facts, headers=[{}] * 3).rejected == {
        "flat2": "filter z where most have r"
    }


@pytest.mark.parametrize("build", [bias, flat, dark])
def test_a_night_with_nothing_is_refused(build: Callable[..., masters.MasterOutputs]) -> None:
    with pytest.raises(QualityError, match=r"0 usable .* frames, rejected: none"):
        build([])


def test_a_master_of_another_shape_is_no_fault_of_the_frames() -> None:
    wrong = {"BIAS": replace(drawn.perfect("BIAS", SIZE), image=np.zeros((9, 9), np.float32))}
    wrong["BIAS"].mask = np.zeros((SIZE, SIZE), np.uint8)
    with pytest.raises(BadInput, match="bias plane"):
        flat(even(), masters=wrong)


def test_a_dome_flat_is_called_so() -> None:
    given = replace(inputs("flat", even()), key="DOMEFLAT.test")
    given.masters = {"BIAS": drawn.perfect("BIAS", SIZE)}
    made = masters.build_flat(given, SETTINGS.flat)
    assert made.master.kind == "DOMEFLAT"
    assert card_dict(made.master.cards)["MSTKIND"] == "DOMEFLAT"
    assert card_dict(made.master.cards)["FILTER"] == "r"


def test_response_is_known_to_the_photon_noise_of_the_inputs() -> None:
    pixel = 1 + 0.01 * np.random.default_rng(8).standard_normal((SIZE, SIZE))
    levels = [12000, 20000, 30000, 40000, 25000, 35000]
    frames = [exposures(1, level * pixel, 80 + i)[0] for i, level in enumerate(levels)]
    found = flat(frames).master.image
    error = found / (pixel / np.median(pixel)) - 1
    assert np.std(error) < 1.1 / np.sqrt(sum(levels))


def test_linearity_and_dark_are_taken_off_the_flats() -> None:
    light = 30000 * (1 + 0.5 * (X / SIZE - 0.5))
    bent = light / drawn.GAIN
    bent = bent * (1 - 0.02 * bent / 60000)  # what a bending amplifier records
    current = np.where(Y < SIZE // 2, 0.0, 5.0)
    frames = exposures(6, drawn.GAIN * bent + current * drawn.EXPTIME_S, 90)
    given = {
        "BIAS": drawn.perfect("BIAS", SIZE),
        "DARK": Master("DARK", current.astype(np.float32), np.zeros((SIZE, SIZE), np.uint8)),
    }
    linearity = Master("LINEARITY", np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8))
    u = np.linspace(0.01, 0.5, 200)
    x = u * (1 - 0.02 * u)
    inverse = np.linalg.lstsq(np.stack([x**2, x**3], axis=1), u - x, rcond=None)[0]
    linearity.arrays = {"coefficients": np.tile(inverse, (2, 1)), "pivot_adu": np.array([60000.0])}
    made = flat(frames, masters=given | {"LINEARITY": linearity})
    truth = light / np.median(light)
    noise = 1 / np.sqrt(6 * 20000)
    slope = np.polyfit(X.ravel() / SIZE, (made.master.image / truth).ravel(), 1)[0]
    halves = np.median(made.master.image[: SIZE // 2]) / np.median(made.master.image[SIZE // 2 :])
    assert abs(slope) < 5e-4
    assert abs(halves - 1) < 5e-4
    assert np.std(made.master.image / truth) < 1.2 * noise
    plain = flat(frames).master.image
    assert abs(np.polyfit(X.ravel() / SIZE, (plain / truth).ravel(), 1)[0]) > 2e-3
    assert [op.name for op in made.operations][1:4] == ["bias", "linearity", "dark"]


def test_what_monitors_follow_of_flats() -> None:
    made = flat([*exposures(2, 20000.0), *exposures(2, 40000.0, 5)])
    values = {(v.metric, v.amp): v.value for v in made.monitored}
    assert values["flat_level", 1] == pytest.approx(30000, rel=0.002)
    assert values["flat_level", 2] == pytest.approx(30000, rel=0.002)
    assert ("temperature", WHOLE_CCD) in values


@pytest.mark.parametrize(
    ("light", "said"),
    [
        (1 + 0.03 * (X >= SIZE // 2), "median in amplifier 2"),
        (1 + 0.06 * (X / SIZE - 0.5), "large-scale light"),
    ],
)
def test_a_flat_that_changed_needs_a_person(light: NDArray[np.float64], said: str) -> None:
    first = flat(even(n=6)).master
    assert flat(even(n=6, seed=30), previous=first).passed
    changed = flat(exposures(6, 30000 * light, 40), previous=first)
    assert not changed.passed
    assert any(reason.startswith(said) for reason in changed.reasons)


def test_dark_current_and_hot_pixels_come_back() -> None:
    current = np.where(X < SIZE // 2, 0.5, 1.0)
    current[30, 40] = 20.0
    frames = exposures(8, current * drawn.EXPTIME_S)
    frames[3] = spoiled(frames[3], lambda part: part.__setitem__((50, slice(60, 64)), 9000))
    made = dark(frames)
    assert made.rejected == {}
    good = made.master.mask == 0
    assert np.argwhere(~good).tolist() == [[30, 40]]
    error = made.master.image - current
    assert abs(np.median(error)) < 0.01
    one = np.sqrt(drawn.NOISE_E**2 + current * drawn.EXPTIME_S) / drawn.EXPTIME_S
    assert np.std((error / one)[good]) < 1.15 / np.sqrt(8)
    values = {v.amp: v.value for v in made.monitored if v.metric == "dark"}
    assert values == pytest.approx({1: 0.5, 2: 1.0}, abs=0.02)
    assert card_dict(made.master.cards)["EXPTOTAL"] == 8 * drawn.EXPTIME_S


def test_darks_of_two_exposure_times_give_one_current() -> None:
    frames = [*exposures(3, 2.0 * 60), *exposures(3, 2.0 * 300, 9)]
    facts = [drawn.facts(f"dark{i}", "dark", size=SIZE) for i in range(6)]
    facts = [replace(f, exptime_s=60.0 if i < 3 else 300.0) for i, f in enumerate(facts)]
    made = dark(frames, facts=facts)
    assert np.median(made.master.image) == pytest.approx(2.0, abs=0.01)


def test_unexposed_darks_have_no_part_in_what_is_usual() -> None:
    """Three darks of 0 s among seven: their median would be that of nothing."""
    facts = [drawn.facts(f"dark{i}", "dark", size=SIZE) for i in range(7)]
    facts = [replace(f, exptime_s=0.0) if i < 4 else f for i, f in enumerate(facts)]
    made = dark(exposures(7, 60.0), facts=facts)
    assert list(made.rejected) == [f"dark{i}" for i in range(4)]
    assert made.reasons == ["4 of 7 frames rejected, 50% allowed: look at the reasons"]


def test_two_darks_that_disagree_are_both_kept_and_need_a_person() -> None:
    assert dark(exposures(2, 6.0)).passed
    made = dark([*exposures(1, 6.0), *exposures(1, 60.0, 20)])
    assert made.rejected == {}
    assert not made.passed
    assert made.reasons == made.warnings
    assert "the only two frames disagree: 0.1" in made.reasons[0]


def test_the_tolerance_of_a_dark_goes_with_its_exposure() -> None:
    """A level that is off by an electron is 0.5 e-/s of a dark of 2 s, and no leak of light."""
    facts = [drawn.facts(f"dark{i}", "dark", size=SIZE) for i in range(5)]
    frames = exposures(5)
    frames[2] = spoiled(frames[2], lambda part: part.__iadd__(1))
    short = [replace(f, exptime_s=2.0) for f in facts]
    assert dark(frames, facts=short).rejected == {}
    frames[2] = spoiled(frames[2], lambda part: part.__iadd__(20))
    assert list(dark(frames, facts=short).rejected) == ["dark2"]
    assert list(dark(frames, facts=facts).rejected) == ["dark2"]


def test_darks_with_light_or_without_exposure_are_left_out() -> None:
    frames = [*exposures(4, 6.0), *exposures(1, 60.0, 20), *exposures(1, 6.0, 21)]
    facts = [drawn.facts(f"dark{i}", "dark", size=SIZE) for i in range(6)]
    facts[5] = replace(facts[5], exptime_s=0.0)
    made = dark(frames, facts=facts)
    assert set(made.rejected) == {"dark4", "dark5"}
    assert "electrons a second in amplifier" in made.rejected["dark4"]
    assert made.rejected["dark5"] == "exposure of 0 s"
    with pytest.raises(QualityError, match="no master bias"):
        dark(frames, masters={})
    warmer = dark(exposures(4, 12.0, 30), previous=made.master)
    assert not warmer.passed
    assert "dark current of amplifier" in warmer.reasons[0]


def test_masters_of_files_are_those_of_arrays(tmp_path: Path) -> None:
    """By bands from open files, plain or compressed; a file that was damaged is left out."""
    frames = even(n=5)
    paths = []
    for i, frame in enumerate(frames):
        path = tmp_path / f"flat{i}.fits"
        fits.PrimaryHDU(frame).writeto(path, checksum=True)
        paths.append(path)
    content = bytearray(paths[4].read_bytes())
    content[9000] ^= 1
    paths[4].write_bytes(content)
    rows = [rawfile.open_rows(path) for path in paths]
    opened = [one.__enter__() for one in rows]
    made = flat(opened)  # type: ignore[arg-type]
    for one in rows:
        one.__exit__(None, None, None)
    assert list(made.rejected) == ["flat4"]
    assert "contradicts CHECKSUM or DATASUM" in made.rejected["flat4"]
    assert made.master.data_hash() == flat(frames[:4]).master.data_hash()
