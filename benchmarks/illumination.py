"""The illumination solved beside a general solver: seconds and the error of the map.

    python benchmarks/illumination.py

20,000 stars in 25 exposures dithered by up to a quarter of the field of T80Cam (about 220,000
observations): 6 mmag a measurement, 1 % of them 0.5 mag off, gradients of 2 mmag. The peer is
scipy's LSMR on the full system, one unknown a star, with weights and clipping as a script would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result
from scipy.sparse import csr_array
from scipy.sparse.linalg import lsmr

from tesela.pixels import illumination
from tesela.pixels.illumination import NODES, Model, Observations, terms
from tesela.pixels.illumination_priors import area_weights

Floats = NDArray[np.float64]
SHAPE = (9232, 9216)
_STARS, _IMAGES, _DITHER, _DEGREES = 20000, 25, 0.5, 0.7
_AREA = area_weights()


def truth(u: Floats, v: Floats) -> Floats:
    """A bowl of 50 mmag, a one-sided tilt and the ring of a ghost, mag."""
    r = np.hypot(u, v)
    return 0.025 * r**2 + 0.015 * u - 0.005 * v + 0.03 * np.exp(-0.5 * ((r - 0.5) / 0.15) ** 2)


def true_map() -> Floats:
    """The truth at the nodes, mean 0."""
    line = np.linspace(-1, 1, NODES)
    v, u = np.meshgrid(line, line, indexing="ij")
    f = truth(u, v)
    return f - np.sum(_AREA * f)


def observed(seed: int, shared_mag: float, zeropoint_mag: float) -> Observations:
    """Stars with 30 mmag of scatter in the catalogue, and errors that a degree shares."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1 - _DITHER, 1 + _DITHER, (_STARS, 2))
    mag = rng.uniform(14, 18, _STARS)
    parts = []
    for k in range(_IMAGES):
        at = place - rng.uniform(-_DITHER, _DITHER, 2)
        inside = np.flatnonzero(np.all(np.abs(at) < 1, axis=1))
        u, v = at[inside].T
        seen = mag[inside] - 23 - rng.normal(0, zeropoint_mag) + truth(u, v)
        seen += 0.002 * (rng.normal() * u + rng.normal() * v) + rng.normal(0, 0.006, u.size)
        wrong = rng.random(u.size) < 0.01
        seen[wrong] += rng.normal(0, 0.5, np.count_nonzero(wrong))
        parts.append((u, v, np.full(u.size, k), inside, seen))
    u, v, frame, star, seen = (np.concatenate(part) for part in zip(*parts))
    sky = _DEGREES * place
    wave = rng.normal(0, 1, (2, 40))
    field = shared_mag * np.sqrt(2 / 40) * np.cos(sky @ wave + rng.uniform(0, 6.3, 40)).sum(axis=1)
    return Observations(
        0.5 * (u + 1) * (SHAPE[1] - 1), 0.5 * (v + 1) * (SHAPE[0] - 1), frame.astype(np.int64),
        star.astype(np.int64), seen, np.full(u.size, 0.0033), _IMAGES, _STARS,
        mag + field + rng.normal(0, 0.03, _STARS), np.full(_STARS, 0.01), np.zeros(_STARS), sky,
    )  # fmt: skip


def rms_mmag(node_map: Floats) -> float:
    """Of the error over the CCD, plane included."""
    return float(1e3 * np.sqrt(np.sum(_AREA * (node_map - true_map()) ** 2)))


def peer(obs: Observations, passes: int = 3) -> tuple[Floats, int]:
    """Zero points, polynomial and stars by LSMR with the catalogue, 3 sigma clipped; the map."""
    u = 2 * obs.x / (SHAPE[1] - 1) - 1
    v = 2 * obs.y / (SHAPE[0] - 1) - 1
    n, k = obs.mag.size, len(terms(6))
    legendre = np.polynomial.legendre.legvander
    pu, pv = legendre(u, 6), legendre(v, 6)
    surface = np.stack([pu[:, a] * pv[:, b] for a, b in terms(6)], axis=1)
    row = np.concatenate([np.repeat(np.arange(n), k + 2), n + np.arange(_STARS)])
    column = np.concatenate(
        [
            np.column_stack(
                [obs.star, _STARS + obs.frame, np.tile(_STARS + _IMAGES + np.arange(k), (n, 1))]
            ).ravel(),
            np.arange(_STARS),
        ]
    )
    value = np.concatenate(
        [np.column_stack([np.ones(n), -np.ones(n), surface]).ravel(), np.ones(_STARS)]
    )
    matrix = csr_array((value, (row, column)), shape=(n + _STARS, _STARS + _IMAGES + k))
    right = np.concatenate([obs.mag + 23, obs.ext_mag])
    sigma = np.concatenate([np.full(n, 0.006), np.full(_STARS, 0.03)])
    weight, found, iterations = 1 / sigma, np.zeros(matrix.shape[1]), 0
    for _ in range(passes):
        # Columns of one length: the usual help for such solvers.
        weighted = matrix.multiply(weight[:, None]).tocsr()
        length = np.sqrt(np.maximum(weighted.multiply(weighted).sum(axis=0), 1e-12))
        answer = lsmr(
            weighted.multiply(1 / length[None, :]).tocsr(), weight * right, maxiter=500,
            atol=1e-9, btol=1e-9,
        )  # fmt: skip
        found, iterations = answer[0] / length, iterations + answer[2]
        off = np.abs(matrix @ found - right) / sigma
        weight = np.where(off < 3 * max(1, 1.4826 * np.median(off)), 1 / sigma, 0)
    line = np.linspace(-1, 1, NODES)
    gv, gu = np.meshgrid(line, line, indexing="ij")
    pu, pv = legendre(gu, 6), legendre(gv, 6)
    coefficients = found[_STARS + _IMAGES :]
    node_map = sum(c * pu[..., a] * pv[..., b] for c, (a, b) in zip(coefficients, terms(6)))
    return node_map - np.sum(_AREA * node_map), iterations


def results(seeds: int = 3) -> Iterator[Result]:
    """Three ways to hold the plane, then the peer."""
    illumination.solve(observed(99, 0, 0.1), SHAPE, Model(max_passes=1))  # compiles
    none = np.empty(0)
    for name, shared, zeropoint, keep in (
        ("catalogue", 0.0, 0.1, True),
        ("catalogue, 5 mmag of its errors shared over a degree", 0.005, 0.1, True),
        ("zero points to 3 mmag", 0.0, 0.003, False),
        ("both", 0.005, 0.003, True),
    ):
        took, errors, pulls = [], [], []
        for seed in range(seeds):
            obs = observed(seed, shared, zeropoint)
            if zeropoint < 0.01:
                obs = replace(obs, photometric=np.zeros(_IMAGES, np.int64))
            if not keep:
                obs = replace(obs, ext_mag=none, ext_err=none, ext_colour=none)
            started = time.perf_counter()
            found = illumination.solve(obs, SHAPE, Model(correlated_mag=max(shared, 1e-4)))
            took.append(time.perf_counter() - started)
            errors.append(rms_mmag(found.map))
            pulls.append(np.mean(((found.map - true_map()) / found.error) ** 2))
        yield Result(
            f"illumination, {name}",
            f"{np.median(took):.1f} s, {np.sqrt(np.mean(np.square(errors))):.2f} mmag rms",
            f"worst {max(errors):.2f} of {seeds}, pull {np.sqrt(np.mean(pulls)):.2f}; "
            f"plane +- {1e3 * found.plane_error[0]:.1f} mmag; {obs.mag.size} observations",
        )
    obs = observed(0, 0.0, 0.1)
    started = time.perf_counter()
    found = illumination.solve(obs, SHAPE, Model(degree=6, grid=0, correlated_mag=0.0))
    yield Result(
        "illumination, catalogue, the peer's polynomial alone",
        f"{time.perf_counter() - started:.1f} s, {rms_mmag(found.map):.2f} mmag rms",
        f"degree 6, {found.passes} passes, with errors",
    )
    started = time.perf_counter()
    node_map, iterations = peer(obs)
    yield Result(
        "illumination, scipy's LSMR on the full system, catalogue",
        f"{time.perf_counter() - started:.1f} s, {rms_mmag(node_map):.2f} mmag rms",
        f"degree 6, 3 passes, {iterations} iterations",
    )


if __name__ == "__main__":
    print(pages.table(results()))
