"""The matrix that was drawn comes back from fields of stars; nothing else poses as crosstalk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import crosstalk, crosstalk_matrix

N_AMP, SIDE = 4, 256
DEST = np.array([[x, x + SIDE, y, y + SIDE] for y in (0, SIDE) for x in (0, SIDE)])
FLIP_X = np.array([False, True, False, True])
FLIP_Y = np.array([False, False, True, True])
TOP_E = 60000.0
OFF = ~np.eye(N_AMP, dtype=bool)


@dataclass
class Frame:
    image: np.ndarray
    saturated: np.ndarray

    def measure(self, **more: object) -> crosstalk_matrix.Equations:
        return crosstalk_matrix.measure(
            self.image, DEST, FLIP_X, FLIP_Y, saturated=self.saturated, **more
        )


def matrix(rng: np.random.Generator, largest: float = 5e-4) -> np.ndarray:
    found = rng.uniform(0.2, 1.0, (N_AMP, N_AMP)) * largest
    found[1, 2] *= -1
    np.fill_diagonal(found, 0)
    return found


def sky(
    rng: np.random.Generator, n_stars: int = 160, sky_e: float = 300.0, brightest_e: float = 4e5
) -> np.ndarray:
    """Stars of all brightnesses on a sky with a gradient; some beyond saturation."""
    size = 2 * SIDE
    y, x = np.mgrid[:size, :size].astype(np.float64)
    plane = sky_e * (1 + 0.05 * (x - y) / size)
    peaks = np.exp(rng.uniform(np.log(60), np.log(brightest_e), n_stars))
    for peak in peaks:
        cx, cy = rng.uniform(2, size - 2, 2)
        x0, y0 = max(int(cx) - 25, 0), max(int(cy) - 25, 0)
        part = (slice(y0, int(cy) + 26), slice(x0, int(cx) + 26))
        r2 = (x[part] - cx) ** 2 + (y[part] - cy) ** 2
        plane[part] += peak * (1 + r2 / 6.0) ** -3
    return np.minimum(plane, 2 * TOP_E)


def exposure(
    rng: np.random.Generator, coupling: np.ndarray, clean: np.ndarray | None = None
) -> Frame:
    """Photons, crosstalk at equal read-out positions, read noise, the top of the scale."""
    charge = rng.poisson(sky(rng) if clean is None else clean).astype(np.float64)
    parts = [
        charge[d[2] : d[3], d[0] : d[1]][:: -1 if fy else 1, :: -1 if fx else 1]
        for d, fx, fy in zip(DEST, FLIP_X, FLIP_Y)
    ]
    image = np.empty(charge.shape, np.float32)
    for victim, (d, fx, fy) in enumerate(zip(DEST, FLIP_X, FLIP_Y)):
        heard = parts[victim] + sum(coupling[victim, a] * parts[a] for a in range(N_AMP))
        image[d[2] : d[3], d[0] : d[1]] = heard[:: -1 if fy else 1, :: -1 if fx else 1]
    image += rng.normal(0, 3.4, image.shape).astype(np.float32)
    top = image >= TOP_E
    return Frame(np.minimum(image, np.float32(TOP_E)), top)


@pytest.fixture(scope="module")
def night() -> tuple[np.ndarray, list[crosstalk_matrix.Equations]]:
    rng = np.random.default_rng(8)
    coupling = matrix(rng)
    return coupling, [exposure(rng, coupling).measure() for _ in range(12)]


def test_the_matrix_comes_back_with_honest_errors(night) -> None:
    coupling, equations = night
    found = crosstalk_matrix.solve(equations)
    away = (found.matrix - coupling)[OFF]
    assert np.sqrt(np.mean(away**2)) < 2e-5
    assert found.error[OFF].max() < 2.5e-5
    assert 0.5 < np.std(away / found.error[OFF]) < 1.6
    assert np.all(np.diag(found.matrix) == 0)


def test_saturated_cores_help_and_do_not_bias(night) -> None:
    coupling, equations = night
    with_them = crosstalk_matrix.solve(equations)
    without = crosstalk_matrix.solve(equations, with_cores=False)
    assert np.median(with_them.error[OFF]) < 0.9 * np.median(without.error[OFF])
    for found in (with_them, without):
        scale = np.sum((found.matrix * coupling)[OFF]) / np.sum(coupling[OFF] ** 2)
        assert scale == pytest.approx(1, abs=0.05)


def test_correcting_with_what_was_measured_leaves_no_ghost(night) -> None:
    coupling, equations = night
    measured = crosstalk_matrix.solve(equations).matrix
    frame = exposure(np.random.default_rng(77), coupling)
    corrected, _ = crosstalk.correct(frame.image, DEST, measured, FLIP_X, FLIP_Y)
    left = crosstalk_matrix.solve([Frame(corrected, frame.saturated).measure()], with_cores=False)
    assert np.all(np.abs(left.matrix[OFF]) < 5 * left.error[OFF])
    before = crosstalk_matrix.solve([frame.measure()], with_cores=False)
    pulls = [np.mean((f.matrix[OFF] / f.error[OFF]) ** 2) for f in (before, left)]
    assert pulls[0] > 2 * pulls[1]


def test_no_crosstalk_no_coefficient() -> None:
    rng = np.random.default_rng(3)
    found = crosstalk_matrix.solve(
        [exposure(rng, np.zeros((N_AMP, N_AMP))).measure() for _ in range(4)]
    )
    assert np.all(np.abs(found.matrix[OFF]) < 5 * found.error[OFF])


def test_equations_of_frames_add_up(night) -> None:
    _, equations = night
    few, many = (crosstalk_matrix.solve(equations[:n]) for n in (3, 12))
    ratio = np.median(few.error[OFF]) / np.median(many.error[OFF])
    assert ratio == pytest.approx(2, rel=0.35)


def test_bad_pixels_of_victims_are_not_used() -> None:
    rng = np.random.default_rng(4)
    coupling = matrix(rng)
    frame = exposure(rng, coupling)
    bad = np.zeros(frame.image.shape, bool)
    bad[:, 40:60] = True
    spoilt = Frame(frame.image.copy(), frame.saturated)
    spoilt.image[:, 40:60] += rng.normal(0, 20, (2 * SIDE, 20)).astype(np.float32)
    clean, marked = (
        crosstalk_matrix.solve([f.measure(bad=bad)], with_cores=False) for f in (frame, spoilt)
    )
    victims = [1, 3]  # their own pixels are untouched; as aggressors the spoilt ones are faint
    assert np.allclose(clean.matrix[victims], marked.matrix[victims], atol=3e-5)


def test_a_field_without_bright_stars_tells_nothing() -> None:
    rng = np.random.default_rng(5)
    equations = exposure(rng, matrix(rng), sky(rng, brightest_e=900)).measure()
    assert equations.count.sum() == 0
    found = crosstalk_matrix.solve([equations])
    assert np.all(found.matrix == 0)
    assert np.all(np.isinf(found.error[OFF]))


def test_the_same_frames_give_the_same_numbers(night) -> None:
    coupling, _ = night
    frame = exposure(np.random.default_rng(9), coupling)
    first, again = frame.measure(), frame.measure()
    assert np.array_equal(first.normal, again.normal)
    assert np.array_equal(first.cores.ghost, again.cores.ghost)


def test_amplifiers_of_several_sizes_are_refused() -> None:
    image = np.zeros((8, 12), np.float32)
    with pytest.raises(BadInput, match="two or more of one size"):
        crosstalk_matrix.measure(
            image,
            [[0, 4, 0, 8], [4, 12, 0, 8]],
            [False, False],
            [False, False],
            saturated=image > 0,
        )
    with pytest.raises(BadInput, match="saturated pixels of a frame"):
        crosstalk_matrix.measure(
            image,
            [[0, 6, 0, 8], [6, 12, 0, 8]],
            [False, False],
            [False, False],
            saturated=np.zeros((2, 2), bool),
        )


@pytest.mark.parametrize("seed", range(6))
def test_what_is_heard_only_behind_the_victims_own_sources_is_not_known(seed: int) -> None:
    """Adding such pixels and taking them off again leaves a sum of nothing but rounding."""
    rng = np.random.default_rng(seed)
    image = rng.normal(300, 17, (2 * SIDE, 2 * SIDE)).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE]

    def star(amp: int, at: np.ndarray, peak: float) -> None:
        x0, x1, y0, y1 = DEST[amp]
        image[y0:y1, x0:x1] += peak * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 8)

    for at in rng.uniform(15, SIDE - 15, (5, 2)):
        star(0, at, 2e4)
        star(1, at, 3e4)
    for at in rng.uniform(15, SIDE - 15, (3, 2)):
        star(2, at, 5e4)
    equations = crosstalk_matrix.measure(
        image, DEST, [False] * 4, [False] * 4, saturated=np.zeros(image.shape, np.bool_)
    )
    found = crosstalk_matrix.solve([equations])
    assert list(np.isfinite(found.error[0])) == [True, False, True, False]
    assert found.matrix[0, 1] == 0
    assert (found.error[OFF] > 0).all()
