import numpy as np
import pytest

from tesela import cameras
from tesela.simulate import detector, readout, settings
from tesela.simulate.streams import stream


@pytest.fixture(scope="module")
def unit():
    return detector.build(settings.tiny())


def read(electrons, unit, name="frame"):
    return readout.read_out(electrons, unit, stream(1, name)).astype(np.float64)


@pytest.mark.parametrize("name", ["mini80", "t80cam"])
def test_amplifiers_cover_the_image_once_and_the_raw_frame_whole(name):
    camera = cameras.load(name)
    image = np.zeros(camera.shape, np.uint8)
    raw = np.zeros((camera.raw_ny, camera.raw_nx), np.uint8)
    for amp in camera.amplifiers:
        image[amp.dest.slices] += 1
        raw[readout._block(amp)] += 1
    assert (image == 1).all()
    assert (raw == 1).all()


def test_a_bright_pixel_leaves_ghosts_at_the_mirror_positions(unit):
    camera = unit.camera
    row, column = 100, 37  # in the order of reading
    dark = np.zeros(camera.shape, np.float32)
    lit = dark.copy()
    source = camera.amplifiers[2]
    y = source.dest.y1 - 1 - row if source.flip_y else source.dest.y0 + row
    x = source.dest.x1 - 1 - column if source.flip_x else source.dest.x0 + column
    lit[y, x] = 1e7  # far above any well: the ghost must stand out of one frame's noise
    difference = read(lit, unit) - read(dark, unit)
    for k, amp in enumerate(camera.amplifiers):
        if amp is source:
            continue
        part = difference[amp.data.slices]
        part = part[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
        expected = unit.crosstalk[k, 2] * 1e7 / unit.gain[k]
        assert abs(part[row, column] - expected) <= 1.0
        assert np.count_nonzero(np.abs(part) > 0.5) == 1


def test_even_light_is_heard_by_each_output_as_the_sum_of_its_row(unit):
    heard = readout.with_crosstalk(np.ones(unit.camera.shape, np.float32), unit)
    for k, amp in enumerate(unit.camera.amplifiers):
        np.testing.assert_allclose(heard[amp.dest.slices], 1 + unit.crosstalk[k].sum(), rtol=1e-6)


def test_gain_turns_electrons_into_adu(unit):
    level = np.full(unit.camera.shape, 10000.0, np.float32)
    difference = read(level, unit) - read(0 * level, unit)
    for k, amp in enumerate(unit.camera.amplifiers):
        total = 10000.0 * (1 + unit.crosstalk[k].sum()) / unit.gain[k]
        assert np.median(difference[amp.data.slices]) == pytest.approx(total, abs=1.0)


def test_only_the_first_overscan_pixels_hold_trailing_charge(unit):
    level = np.full(unit.camera.shape, 50000.0, np.float32)
    difference = read(level, unit) - read(0 * level, unit)
    for amp in unit.camera.amplifiers[::4]:
        strip = difference[amp.overscan.slices]
        strip = strip[:, ::-1] if amp.flip_x else strip
        assert strip[:, 0].mean() > 10
        assert abs(strip[:, 6:].mean()) < 0.2


def test_sixteen_bits_clip(unit):
    raw = read(np.full(unit.camera.shape, 2e5, np.float32), unit)
    assert raw[unit.camera.amplifiers[0].data.slices].max() == 65535
    assert raw.min() >= 0


def test_the_same_stream_reads_the_same(unit):
    image = np.full(unit.camera.shape, 100.0, np.float32)
    np.testing.assert_array_equal(read(image, unit), read(image, unit))
    assert not np.array_equal(read(image, unit), read(image, unit, "another"))


def test_response_is_one_in_the_median_and_falls_to_the_corner():
    wanted = settings.tiny()
    red = detector.response(wanted, "zSDSS")
    blue = detector.response(wanted, "uJAVA")
    assert np.median(red) == pytest.approx(1.0, abs=2e-3)
    assert np.median(red[:60, :60]) / np.median(red[540:610, 540:610]) == pytest.approx(
        0.9, abs=0.02
    )

    def grain(image):
        part = image[500:600, 500:600]
        return np.std(np.diff(part, axis=1)) / np.sqrt(2)

    assert grain(blue) == pytest.approx(0.010, rel=0.15)
    assert grain(red) == pytest.approx(0.003, rel=0.3)
