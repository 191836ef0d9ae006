"""The response of amplifiers against level, from an exposure ramp of a steady lamp.

An amplifier records x ADU above bias where it should have recorded

    true = x (1 + sum_k c_k (x / pivot)^(k + 1)),    k = 0 ... degree - 1,

so the response is one at zero level. The light of frame i is the same for all amplifiers:

    ln x_ia + ln(1 + sum_k c_ak (x_ia / pivot)^(k + 1)) = ln s_a + e_i + ln(t_i + shutter)

with the sensitivity s_a of the amplifier, the flicker e_i of the lamp, and the exposure time t_i.
What amplifiers differ in is told to 1e-5 by their ratios, whatever the lamp does; what they share
can only be told from the exposure times, to the lamp's flicker over the square root of the number
of frames. One least-squares solution with all of it weighs both rightly: the flicker is an unknown
of each frame with an expected size, which is found from the frames themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tesela.errors import QualityError
from tesela.pixels import robust

MMAG = 1000 * 2.5 / np.log(10)
PASSES = 12
LEAST_FLICKER = 1e-5


@dataclass(frozen=True)
class Fit:
    """A solution.

    Attributes
    ----------
    coefficients : (n_amp, degree) float64
    error : (n_amp, degree) float64
    covariance : (n_amp, degree, degree) float64
    sensitivity : (n_amp,) float64
        ADU a second at zero level.
    lamp : (n_frames,) float64
        Light of each frame over that expected of its exposure time, minus one.
    lamp_sigma : float
        Its scatter.
    shutter_s, shutter_error_s : float
        What is added to the exposure times; 0 where it was not fitted.
    residual : (n_frames, n_amp) float64
        ln(corrected level / light of the frame), the lamp's flicker taken out; NaN where there is
        no level.
    used : (n_frames, n_amp) bool
    rejected : (n_frames,) bool
        Frames whose lamp stood out.
    """

    coefficients: np.ndarray
    error: np.ndarray
    covariance: np.ndarray
    sensitivity: np.ndarray
    lamp: np.ndarray
    lamp_sigma: float
    shutter_s: float
    shutter_error_s: float
    residual: np.ndarray
    used: np.ndarray
    rejected: np.ndarray


def factor(x: npt.ArrayLike, coefficients: npt.ArrayLike, pivot_adu: float) -> np.ndarray:
    """Return what a level has to be multiplied with: 1 + sum_k c_k (x / pivot)^(k + 1).

    Parameters
    ----------
    x : array, ADU above bias
    coefficients : (..., k)
        Leading axes as those of `x`, or none.
    pivot_adu : float
    """
    u = np.asarray(x, np.float64) / pivot_adu
    c = np.asarray(coefficients, np.float64)
    total = np.zeros(np.broadcast_shapes(u.shape, c.shape[:-1]))
    for k in range(c.shape[-1] - 1, -1, -1):
        total = (total + c[..., k]) * u
    return 1 + total


def fit(
    level_adu: np.ndarray,
    exptime_s: np.ndarray,
    sigma: np.ndarray,
    *,
    degree: int = 2,
    pivot_adu: float = 60000.0,
    lamp_sigma: float = 1e-3,
    clip_sigma: float = 5.0,
    shutter_sigma_s: float = 0.0,
) -> Fit:
    """Fit the response of all amplifiers at once.

    Parameters
    ----------
    level_adu : (n_frames, n_amp) float64, ADU above bias
        NaN: no level (saturated, too faint).
    exptime_s : (n_frames,) float64, seconds, positive
    sigma : (n_frames, n_amp) float64
        Relative error of each level (photons, zero point), the lamp's flicker not included.
    degree : int
    pivot_adu : float
    lamp_sigma : float
        Flicker to begin with.
    clip_sigma : float
        Frames whose lamp is further off than this many of its own scatter are left out, and so
        are single levels by their residuals.
    shutter_sigma_s : float
        Expected size of the error of exposure times that all frames share; 0 trusts them.

    Returns
    -------
    Fit

    Raises
    ------
    QualityError
        Fewer frames than unknowns of one amplifier and the lamp, or an amplifier without levels.
    """
    level = np.asarray(level_adu, np.float64)
    time = np.asarray(exptime_s, np.float64)
    known = np.isfinite(level) & (level > 0) & np.isfinite(sigma) & (time > 0)[:, None]
    _require(known, degree + 3)
    problem = _Problem(level, time, np.asarray(sigma, np.float64), degree, pivot_adu)
    rejected = np.zeros(len(level), bool)
    flicker, used = lamp_sigma, known
    state = problem.start(known)
    for _ in range(PASSES):
        state = problem.solve(state, used, flicker, shutter_sigma_s)
        seen = used.any(axis=1)
        flicker = _flicker(state.lamp[seen], degree + 1, flicker)
        before = rejected
        rejected = ~seen | (np.abs(state.lamp - np.median(state.lamp[seen])) > clip_sigma * flicker)
        residual = problem.residual(state)
        spread = np.where(known, residual / problem.sigma, np.nan)
        limit = clip_sigma * max(1.0, robust.sigma(spread[known], 0))
        fresh = known & ~rejected[:, None] & (np.abs(spread) < limit)
        _require(fresh, degree + 3)
        if np.array_equal(fresh, used) and np.array_equal(before, rejected) and state.settled:
            break
        used = fresh
    return _result(problem, state, used, rejected, flicker)


def slope_mmag(level: np.ndarray, residual: np.ndarray, low: float, high: float) -> np.ndarray:
    """Slope of what a correction leaves, millimagnitudes a magnitude, for each amplifier.

    Parameters
    ----------
    level, residual : (n_frames, n_amp)
        Corrected level in ADU, and ln(corrected / light).
    low, high : float, ADU
        Levels counted.
    """
    out = np.full(level.shape[1], np.nan)
    for amp in range(level.shape[1]):
        x, y = level[:, amp], residual[:, amp]
        good = np.isfinite(x) & np.isfinite(y) & (x >= low) & (x <= high)
        if np.count_nonzero(good) >= 3 and np.ptp(x[good]) > 0:
            mag = np.log(x[good]) * MMAG / 1000
            out[amp] = np.polyfit(mag, y[good] * MMAG, 1)[0]
    return out


@dataclass(frozen=True)
class _State:
    coefficients: np.ndarray
    log_sensitivity: np.ndarray
    lamp: np.ndarray
    shutter_s: float
    covariance: np.ndarray
    chi2: float
    settled: bool


class _Problem:
    """The equations, linear about a state: unknowns are c (n_amp x degree), ln s (n_amp), the
    lamp's flicker (n_frames) and the shutter."""

    def __init__(
        self, level: np.ndarray, time: np.ndarray, sigma: np.ndarray, degree: int, pivot: float
    ) -> None:
        self.level, self.time, self.sigma = level, time, np.maximum(sigma, 1e-7)
        self.degree, self.pivot = degree, pivot
        self.n_frames, self.n_amp = level.shape
        self.powers = (level[..., None] / pivot) ** np.arange(1, degree + 1)

    def start(self, known: np.ndarray) -> _State:
        with np.errstate(invalid="ignore"):
            rate = np.log(np.where(known, self.level / self.time[:, None], np.nan))
        n = self.n_amp * (self.degree + 1) + self.n_frames + 1
        return _State(
            np.zeros((self.n_amp, self.degree)),
            np.nanmedian(rate, axis=0),
            np.zeros(self.n_frames),
            0.0,
            np.zeros((n, n)),
            1.0,
            False,
        )

    def residual(self, state: _State) -> np.ndarray:
        """ln(corrected level) less what the state expects."""
        corrected = self.level * factor(self.level, state.coefficients[None], self.pivot)
        with np.errstate(invalid="ignore", divide="ignore"):
            light = np.log(np.maximum(self.time + state.shutter_s, 1e-3 * self.time)) + state.lamp
            return np.log(corrected) - state.log_sensitivity - light[:, None]

    def solve(
        self, state: _State, used: np.ndarray, flicker: float, shutter_sigma_s: float
    ) -> _State:
        """One Gauss-Newton step, with what is expected of lamp and shutter as further equations."""
        frame, amp = np.nonzero(used)
        n_c = self.n_amp * self.degree
        rows = np.arange(len(frame))
        design = np.zeros((len(frame), n_c + self.n_amp + self.n_frames + 1))
        gain = factor(self.level, state.coefficients[None], self.pivot)[frame, amp]
        for k in range(self.degree):
            design[rows, amp * self.degree + k] = self.powers[frame, amp, k] / gain
        design[rows, n_c + amp] = -1
        design[rows, n_c + self.n_amp + frame] = -1
        fits_shutter = shutter_sigma_s > 0
        if fits_shutter:
            design[rows, -1] = -1 / (self.time[frame] + state.shutter_s)
        weight = 1 / self.sigma[frame, amp]
        value = -self.residual(state)[frame, amp]
        normal = (design * weight[:, None] ** 2).T @ design
        rhs = (design * weight[:, None] ** 2).T @ value
        lamps = np.arange(n_c + self.n_amp, n_c + self.n_amp + self.n_frames)
        normal[lamps, lamps] += flicker**-2
        rhs[lamps] -= state.lamp * flicker**-2
        normal[-1, -1] += shutter_sigma_s**-2 if fits_shutter else 1.0
        rhs[-1] -= state.shutter_s * shutter_sigma_s**-2 if fits_shutter else 0.0
        covariance = np.linalg.pinv(normal, hermitian=True)
        step = covariance @ rhs
        after = weight * (value - design @ step)
        free = max(1, len(frame) - (n_c + self.n_amp + int(used.any(axis=1).sum())))
        return _State(
            state.coefficients + step[:n_c].reshape(self.n_amp, self.degree),
            state.log_sensitivity + step[n_c : n_c + self.n_amp],
            state.lamp + step[lamps],
            state.shutter_s + float(step[-1]),
            covariance,
            float(after @ after) / free,
            bool(np.abs(step[:n_c]).max(initial=0) < 1e-8),
        )


def _result(
    problem: _Problem, state: _State, used: np.ndarray, rejected: np.ndarray, flicker: float
) -> Fit:
    n_amp, degree = problem.n_amp, problem.degree
    # What the levels say beyond their own errors (fields uneven, lamp's colour) widens the errors
    # of the amplifiers' differences; the lamp has its own measured scatter.
    covariance = state.covariance * max(1.0, state.chi2)
    blocks = np.stack(
        [
            covariance[a * degree : (a + 1) * degree, a * degree : (a + 1) * degree]
            for a in range(n_amp)
        ]
    )
    residual = np.where(np.isfinite(problem.level), problem.residual(state), np.nan)
    lamp = state.lamp.copy()
    for frame in np.flatnonzero(rejected & np.isfinite(residual).any(axis=1)):
        lamp[frame] += (own := np.nanmedian(residual[frame]))  # it was left out of the solution
        residual[frame] -= own
    return Fit(
        coefficients=state.coefficients,
        error=np.sqrt(np.einsum("akk->ak", blocks)),
        covariance=blocks,
        sensitivity=np.exp(state.log_sensitivity),
        lamp=lamp,
        lamp_sigma=flicker,
        shutter_s=state.shutter_s,
        shutter_error_s=float(np.sqrt(covariance[-1, -1])) if state.shutter_s else 0.0,
        residual=residual,
        used=used,
        rejected=rejected,
    )


def _flicker(lamp: np.ndarray, taken: int, before: float) -> float:
    """Scatter of the lamp, of which the common response took some degrees of freedom."""
    seen = robust.sigma(lamp)
    seen *= np.sqrt(len(lamp) / max(len(lamp) - 1 - taken, 1))
    return float(max(seen, 0.1 * before, LEAST_FLICKER))


def _require(used: np.ndarray, n: int) -> None:
    least = int(used.sum(axis=0).min()) if used.size else 0
    if least < n:
        raise QualityError(
            "linearity",
            found=f"an amplifier with {least} usable levels",
            expected=f"at least {n}",
            do="take a ramp with more exposure times below saturation",
        )
