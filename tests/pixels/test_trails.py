"""Trails far below the noise are found; nothing is made of what is not one."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter, label

from tesela.errors import BadInput
from tesela.pixels import radon, trails

SIZE = 640
VALID = np.ones((SIZE, SIZE), bool)


def frame(seed, n_objects=120):
    """Noise of 1 with masked objects."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    mask = np.zeros((SIZE, SIZE), bool)
    y, x = np.mgrid[-12:13, -12:13]
    for _ in range(n_objects):
        j, i = rng.integers(12, SIZE - 12, 2)
        radius2 = rng.uniform(2, 9) ** 2
        mask[j - 12 : j + 13, i - 12 : i + 13] |= x * x + y * y < radius2
        image[j - 12 : j + 13, i - 12 : i + 13] += 50 * np.exp(-6 * (x * x + y * y) / radius2)
    return image, mask


def line(ends, width):
    """Share of each pixel covered by a segment of that width."""
    y, x = np.mgrid[:SIZE, :SIZE]
    x0, y0, x1, y1 = ends
    length = np.hypot(x1 - x0, y1 - y0)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    along = (x - x0) * ux + (y - y0) * uy
    across = np.abs((y - y0) * ux - (x - x0) * uy)
    return np.where((along >= 0) & (along <= length), np.clip(width / 2 + 0.5 - across, 0, 1), 0)


CASES = [
    ((-50, 100, 700, 500), 5, 0.25),
    ((100, -50, 180, 700), 3, 0.4),
    ((-50, 550, 700, 20), 12, 0.15),
    ((500, -50, 350, 700), 15, 0.15),
    ((120, 450, 520, 210), 5, 0.35),
    ((-50, 300, 700, 330), 5, 3.0),
]


@pytest.mark.parametrize(("ends", "width", "brightness"), CASES)
def test_trail_is_found_where_it_is(ends, width, brightness):
    image, mask = frame(1)
    cover = line(ends, width)
    found = trails.find(image + (brightness * cover).astype(np.float32), mask, 1.0)
    assert len(found) == 1
    painted = trails.paint(found, image.shape, 1.0)
    assert painted[cover > 0.5].mean() > 0.85
    assert painted.sum() < 2.5 * (cover > 0.5).sum()
    assert found[0].snr > 7
    assert abs(found[0].surface_brightness / brightness - 1) < 0.35


@pytest.mark.parametrize("brightness", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("kind", ["flashing", "tumbling"])
def test_lights_that_vary_are_trails_too(kind, brightness):
    image, mask = frame(1)
    cover = line((-50, 100, 700, 500), 5)
    x = np.arange(SIZE)
    light = (x // 20) % 2 if kind == "flashing" else 1 + 0.9 * np.sin(x / 12)
    found = trails.find(image + (brightness * cover * light).astype(np.float32), mask, 1.0)
    assert trails.paint(found, image.shape, 1.0)[cover > 0.5].mean() > 0.85


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [2, 5, 15])
def test_faint_trail_over_a_third_of_the_frame_is_found(width, seed):
    image, mask = frame(70 + seed)
    rng = np.random.default_rng(seed)
    angle, length = rng.uniform(0.15, 1.4), 0.36 * SIZE
    x, y = rng.uniform(0.05 * SIZE, 0.6 * SIZE, 2)
    ends = (x, y, x + length * np.cos(angle), y + length * np.sin(angle))
    cover = line(ends, width)
    image += (15 / np.sqrt(width * length) * cover).astype(np.float32)
    found = trails.find(image, mask, 1.0)
    assert len(found) == 1
    assert trails.paint(found, image.shape, 1.0)[cover > 0.5].mean() > 0.8


def test_trails_do_not_depend_on_the_number_of_threads():
    image, mask = frame(2)
    bright, faint = line((-50, 100, 700, 500), 6), line((100, -50, 500, 700), 5)
    image += (10 * bright + 0.4 * faint).astype(np.float32)
    alone, *shared = (
        trails.find(image, ~VALID, 1.0, objects=mask | (bright > 0.1), threads=threads)
        for threads in (1, 2, 3)
    )
    assert len(alone) == 2
    assert all(found == alone for found in shared)


def test_two_crossing_trails_of_very_different_brightness():
    image, mask = frame(2)
    bright, faint = line((-50, 100, 700, 500), 6), line((100, -50, 500, 700), 5)
    found = trails.find((image + 10 * bright + 0.4 * faint).astype(np.float32), mask, 1.0)
    assert len(found) == 2
    painted = trails.paint(found, image.shape, 1.0)
    assert painted[bright > 0.5].mean() > 0.95
    assert painted[faint > 0.5].mean() > 0.85
    few = trails.find(
        (image + 10 * bright + 0.4 * faint).astype(np.float32), mask, 1.0, max_trails=1
    )
    assert len(few) == 1


def test_bright_trail_taken_for_an_object_is_found_under_its_mask():
    image, mask = frame(3)
    cover = line((-50, 100, 700, 500), 5)
    objects = mask | (cover > 0.1)
    found = trails.find((image + 8 * cover).astype(np.float32), ~VALID, 1.0, objects=objects)
    assert len(found) == 1
    assert abs(found[0].surface_brightness / 8 - 1) < 0.1
    assert trails.paint(found, image.shape)[cover > 0.5].mean() > 0.95


def crowd(seed, n_stars=600):
    """Stars with wings on noise of 1, not masked."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (SIZE + 60, SIZE + 60)).astype(np.float32)
    y, x = np.mgrid[-30:31, -30:31]
    for _ in range(n_stars):
        j, i = rng.integers(30, SIZE + 30, 2)
        r2 = (x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.5, 0.5)) ** 2
        star = 10 ** rng.uniform(1, 3.5) * (1 + r2 / 3.0) ** -3
        image[j - 30 : j + 31, i - 30 : i + 31] += star.astype(np.float32)
    return image[30:-30, 30:-30]


def detected(image):
    """Mask of objects as detection makes it: connected, and grown."""
    islands, _ = label(gaussian_filter(image, 1.0) > 1.0)
    large = np.bincount(islands.ravel()) >= 5
    large[0] = False
    return binary_dilation(large[islands], iterations=4)


@pytest.mark.parametrize("sigma_px", [1.2, 3.0, 5.0])
@pytest.mark.parametrize("peak", [1.5, 3.0, 10.0, 130.0])
def test_bright_trail_among_many_stars_is_found_under_the_objects_it_forms(peak, sigma_px):
    image = crowd(7)
    y, x = np.mgrid[:SIZE, :SIZE]
    across = (y - 80 - 0.6 * x) / np.hypot(1, 0.6)
    image += (peak * np.exp(-0.5 * (across / sigma_px) ** 2)).astype(np.float32)
    found = trails.find(image, ~VALID, 1.0, objects=detected(image))
    assert len(found) == 1
    painted = trails.paint(found, image.shape, 2.0)
    assert painted[np.abs(across) < 1].mean() > 0.95
    assert painted[peak * np.exp(-0.5 * (across / sigma_px) ** 2) > 1].mean() > 0.97
    assert painted.sum() / (np.abs(across) < 0.5).sum() < 8 * sigma_px + 12


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_made_of_crowds_with_bright_stars_spikes_and_galaxies(seed):
    image = crowd(60 + seed, n_stars=1200)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(3):
        x0, y0 = rng.uniform(100, 540, 2)
        angle = rng.uniform(0.1, 1.4)
        halo = 4e3 * (1 + ((x - x0) ** 2 + (y - y0) ** 2) / 12.0) ** -1.5
        image += halo.astype(np.float32)
        for turn in (angle, angle + np.pi / 2):
            along = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
            across = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
            spike = 3e4 / (np.abs(along) + 5) ** 2 * np.exp(-0.5 * (across / 1.5) ** 2)
            image += spike.astype(np.float32)
        along = (x - y0) * np.cos(angle) + (y - x0) * np.sin(angle)
        across = (y - x0) * np.cos(angle) - (x - y0) * np.sin(angle)
        galaxy = 60 * np.exp(-np.abs(along) / 30 - np.abs(across) / 4)
        image += galaxy.astype(np.float32)
    saturated = image > 1500
    image[saturated] = np.nan
    objects = detected(np.nan_to_num(image, nan=1500))
    assert not trails.find(image, saturated, 1.0, objects=objects)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_made_of_noise_nor_of_the_lines_of_a_detector(seed):
    image, mask = frame(10 + seed)
    assert not trails.find(image, mask, 1.0)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    image[:, rng.integers(0, SIZE, 4)] += 0.6
    image[rng.integers(0, SIZE, 3)] += 0.5
    image += (0.3 * (x >= SIZE // 2) + 0.2 * (y >= SIZE // 2)).astype(np.float32)
    image += (0.4 * np.sin(x / 200) + 0.3 * np.cos(y / 150)).astype(np.float32)
    image[100:500, 300:305] = 5000
    mask[100:500, 300:305] = True
    assert not trails.find(image, mask, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_spikes_and_edge_on_galaxies_are_no_trails(seed):
    image, mask = frame(20 + seed)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    x0, y0 = rng.uniform(200, 440, 2)
    angle = rng.uniform(0.1, 1.4)
    mask |= np.hypot(x - x0, y - y0) < 40
    for turn in (angle, angle + np.pi / 2):
        along = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
        across = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
        spike = np.where(np.abs(across) < 1.5, 1e4 / (np.abs(along) + 5) ** 2, 0)
        image += spike.astype(np.float32)
        mask |= spike > 1.5
    x1, y1 = rng.uniform(100, 540, 2)
    along = (x - x1) * np.cos(angle / 2) + (y - y1) * np.sin(angle / 2)
    across = (y - y1) * np.cos(angle / 2) - (x - x1) * np.sin(angle / 2)
    galaxy = 40 * np.exp(-np.abs(along) / 25 - np.abs(across) / 4)
    image += galaxy.astype(np.float32)
    mask |= galaxy > 1
    assert not trails.find(image, mask, 1.0)
    assert not trails.find(image, ~VALID, 1.0, objects=mask)


def test_noise_sets_the_significance_as_a_number_or_as_a_map():
    image, mask = frame(4)
    image += (0.5 * line((-50, 100, 700, 500), 5)).astype(np.float32)
    (plain,) = trails.find(image, mask, 1.0)
    (mapped,) = trails.find(image * 3, mask, np.full_like(image, 3))
    assert np.isclose(plain.snr, mapped.snr, rtol=1e-3)
    assert np.isclose(3 * plain.surface_brightness, mapped.surface_brightness, rtol=1e-3)
    (doubted,) = trails.find(image, mask, 0.5)  # the scatter of the frame itself overrules it
    assert doubted.snr < 1.3 * plain.snr


def test_masked_and_infinite_values_never_matter():
    image, mask = frame(5)
    image += (0.5 * line((-50, 100, 700, 500), 5)).astype(np.float32)
    other = image.copy()
    other[mask] = 1e6
    assert list(trails.find(image, mask, 1.0)) == list(trails.find(other, mask, 1.0))
    other[mask] = np.nan
    assert list(trails.find(image, mask, 1.0)) == list(trails.find(other, mask, 1.0))


def test_all_masked_and_too_small_frames_have_no_trails():
    image, mask = frame(6)
    assert not trails.find(image, np.ones_like(mask), 1.0)
    assert not trails.find(image[:100, :100], mask[:100, :100], 1.0)
    with pytest.raises(BadInput, match="mask"):
        trails.find(image, mask[:-1], 1.0)


def test_paint_covers_the_distance_asked_for_around_the_ends_too():
    trail = trails.Trail(10, 20, 40, 60, width_px=4, snr=10, surface_brightness=1)
    mask = trails.paint([trail], (90, 80), grow_px=3)
    y, x = np.mgrid[:90, :80]
    t = np.clip(((x - 10) * 30 + (y - 20) * 40) / 2500, 0, 1)
    distance = np.hypot(x - 10 - 30 * t, y - 20 - 40 * t)
    assert np.array_equal(mask, distance <= 5)
    assert not trails.paint([], (5, 5)).any()


def test_radon_finds_the_one_line_drawn_in_any_direction():
    for angle in np.deg2rad([3, 30, 60, 87, 93, 120, 150, 177]):
        signal = np.zeros((60, 70), np.float32)
        steps = np.arange(-100, 101)[:, None] * [np.cos(angle), np.sin(angle)] + [35, 30]
        inside = ((steps >= 0) & (steps < [70, 60] - np.array(0.5))).all(axis=1)
        x, y = np.rint(steps[inside]).astype(int).T
        signal[y, x] = 1
        best = radon.brightest_lines(signal, np.ones_like(signal), min_length=16, min_weight=10.0)[
            0
        ]
        dx, dy = best.x1 - best.x0, best.y1 - best.y0
        across = np.abs((x - best.x0) * dy - (y - best.y0) * dx) / np.hypot(dx, dy)
        assert across.max() < 3.5
        assert best.snr > 0.6 * np.sqrt(len(x))


def fringes(seed, period_px=24.0, amplitude=0.25):
    """Smooth random ridges that keep their direction over many periods, without noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / period_px * 2 * np.pi
    phase = 6 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), 80, mode="wrap")
    phase *= 1 / phase.std()
    angle = rng.uniform(0.2, 1.3)
    wave = np.cos(x * np.cos(angle) + y * np.sin(angle) + phase)
    return (amplitude * np.sqrt(2) * wave).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("period_px", [12.0, 24.0, 40.0])
def test_ridges_all_over_the_sky_are_no_trails(seed, period_px):
    image, mask = frame(30 + seed)
    assert not trails.find(image + fringes(seed, period_px), mask, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_clumps_of_galaxies_too_faint_to_be_masked_are_no_trails(seed):
    image, mask = frame(40 + seed)
    rng = np.random.default_rng(seed)
    light = np.zeros_like(image)
    for _ in range(60):
        x, y = rng.uniform(0, SIZE, 2)
        for _ in range(rng.poisson(12)):
            j, i = np.rint(rng.normal([y, x], 25)).astype(int)
            if 0 <= j < SIZE and 0 <= i < SIZE:
                light[j, i] += rng.exponential(20)
    image += gaussian_filter(light, 2.5)
    assert not trails.find(image, mask, 1.0)


@pytest.mark.parametrize("n_blobs", [3, 4, 5])
def test_a_few_blobs_in_line_are_no_trail(n_blobs):
    image, mask = frame(50)
    for share in np.linspace(0.1, 0.9, n_blobs):
        y, x = np.ogrid[:SIZE, :SIZE]
        r2 = (x - SIZE * share) ** 2 + (y - SIZE * (0.2 + 0.5 * share)) ** 2
        image += (2.0 * np.exp(-r2 / (2 * 6.0**2))).astype(np.float32)
    assert not trails.find(image, mask, 1.0)


def test_what_is_broader_than_trails_are_is_none():
    image, mask = frame(51)
    for width in (30, 60):
        broad = (0.5 * line((-50, 100, 700, 500), width)).astype(np.float32)
        assert not trails.find(image + broad, mask, 1.0)


def test_trail_among_ridges_is_still_found_alone():
    image, mask = frame(52)
    cover = line((-50, 100, 700, 500), 5)
    found = trails.find(image + fringes(5) + (0.8 * cover).astype(np.float32), mask, 1.0)
    assert len(found) == 1
    assert trails.paint(found, image.shape, 1.0)[cover > 0.5].mean() > 0.9


def test_scatter_alongside_is_one_for_noise_and_grows_with_what_is_correlated():
    signal = np.random.default_rng(8).normal(0, 1, (200, 220)).astype(np.float32)
    weight = np.ones_like(signal)
    ends = (10.0, 20.0, 200.0, 150.0)
    assert abs(radon.scatter_alongside(signal, weight, ends, 2.0, 3.0) - 1) < 0.12
    smooth = gaussian_filter(signal, 2)
    smooth /= smooth.std()
    assert radon.scatter_alongside(smooth, weight, ends, 2.0, 3.0) > 2.5
    with_trail = signal.copy()
    y, x = np.indices(signal.shape)
    with_trail[np.abs((y - 20) * 190 - (x - 10) * 130) / np.hypot(190, 130) < 2] += 50
    assert radon.scatter_alongside(with_trail, weight, ends, 2.0, 3.0) < 1.12
    assert radon.scatter_alongside(signal, 0 * weight, ends, 2.0, 3.0) == 0.0
