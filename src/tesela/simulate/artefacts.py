"""Charge that is not starlight: cosmic rays, satellite trails, bleeding, hot pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

ELECTRONS_PER_UM = 80.0
THICKNESS_UM = 40.0
PIXEL_UM = 10.0
DIFFUSION_PX = 0.28
STEP_PX = 0.1


@dataclass(frozen=True)
class Trail:
    """A straight streak. Positions in pixels of the trimmed image."""

    x0: float
    y0: float
    x1: float
    y1: float
    sigma_px: float
    peak_e: float
    """Electrons a pixel along the middle."""


def cosmic_rays(
    rng: np.random.Generator, shape: tuple[int, int], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tracks of `count` particles.

    Seven of ten are straight muons, two are short thick spots, one is a worm (an electron that
    scatters). Charge spreads by diffusion of 0.28 px.

    Returns
    -------
    index : (n,) int64
        Flat indices of the pixels hit, increasing.
    charge_e : (n,) float32
        Electrons there, at least one.
    """
    ys, xs, charges = [], [], []
    for _ in range(count):
        x, y, charge = _track(rng, shape)
        xs.append(x)
        ys.append(y)
        charges.append(charge)
    if not xs:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    x, y, charge = np.concatenate(xs), np.concatenate(ys), np.concatenate(charges)
    # Nine parcels of each deposit diffuse on their own.
    x = np.repeat(x, 9) + rng.normal(0, DIFFUSION_PX, 9 * x.size)
    y = np.repeat(y, 9) + rng.normal(0, DIFFUSION_PX, 9 * y.size)
    charge = np.repeat(charge / 9, 9)
    ix, iy = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    inside = (ix >= 0) & (ix < shape[1]) & (iy >= 0) & (iy < shape[0])
    index, inverse = np.unique(iy[inside] * shape[1] + ix[inside], return_inverse=True)
    total = np.round(np.bincount(inverse, charge[inside], minlength=index.size))
    keep = total >= 1
    return index[keep], total[keep].astype(np.float32)


def _track(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points along one particle's path and the electrons freed at each."""
    x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
    heading = rng.uniform(0, 2 * math.pi)
    kind = rng.uniform()
    if kind < 0.7:  # muon: zenith angles as cos^2, so mostly short, some long
        tangent = min(math.tan(math.acos(rng.uniform(0.03, 1.0) ** (1 / 3))), 12.0)
        length_px = THICKNESS_UM * tangent / PIXEL_UM
        path_um = THICKNESS_UM * math.sqrt(1 + tangent**2)
        turn = 0.0
        charge = path_um * ELECTRONS_PER_UM * (1 + rng.gamma(1.2, 0.25))
    elif kind < 0.9:  # spot
        length_px, turn = rng.uniform(0.0, 1.5), 0.0
        charge = math.exp(rng.normal(math.log(1500.0), 0.7))
    else:  # worm
        length_px, turn = rng.uniform(6.0, 35.0), 0.25
        charge = length_px * PIXEL_UM * ELECTRONS_PER_UM * rng.uniform(0.8, 2.0)
    n = max(2, int(length_px / STEP_PX))
    direction = heading + np.cumsum(rng.normal(0, turn, n)) if turn else np.full(n, heading)
    step = length_px / n
    weight = rng.gamma(2.0, 0.5, n)
    return (
        x + np.cumsum(np.cos(direction)) * step,
        y + np.cumsum(np.sin(direction)) * step,
        charge * weight / weight.sum(),
    )


def draw_trail(
    rng: np.random.Generator, shape: tuple[int, int], sky_sigma_e: float, seeing_sigma_px: float
) -> Trail:
    """A satellite: crosses the whole image, or (one in four) begins or ends inside it."""
    ny, nx = shape
    angle = rng.uniform(0, math.pi)
    x, y = rng.uniform(0.25, 0.75) * nx, rng.uniform(0.25, 0.75) * ny
    reach = math.hypot(nx, ny)
    start = 0.0 if rng.uniform() < 0.25 else -reach
    dx, dy = math.cos(angle), math.sin(angle)
    return Trail(
        x0=x + start * dx,
        y0=y + start * dy,
        x1=x + reach * dx,
        y1=y + reach * dy,
        sigma_px=math.hypot(seeing_sigma_px, rng.uniform(0.2, 1.5)),
        peak_e=sky_sigma_e * math.exp(rng.uniform(math.log(0.5), math.log(8.0))),
    )


def add_trail(image: np.ndarray, trail: Trail) -> np.ndarray:
    """Add a trail to the expected electrons (in place).

    Returns
    -------
    (ny, nx) bool : pixels within two sigma of the middle of the streak, the truth of its mask.
    """
    length = math.hypot(trail.x1 - trail.x0, trail.y1 - trail.y0)
    dx, dy = (trail.x1 - trail.x0) / length, (trail.y1 - trail.y0) / length
    x = np.arange(image.shape[1], dtype=np.float32)[None, :] - np.float32(trail.x0)
    y = np.arange(image.shape[0], dtype=np.float32)[:, None] - np.float32(trail.y0)
    along = x * np.float32(dx) + y * np.float32(dy)
    across = y * np.float32(dx) - x * np.float32(dy)
    near = np.abs(across) < 6 * trail.sigma_px
    s = np.sqrt(2.0) * trail.sigma_px
    ends = special.erf(along[near] / s) - special.erf((along[near] - length) / s)
    light = 0.5 * ends * np.exp(-0.5 * (across[near] / trail.sigma_px) ** 2)
    image[near] += (trail.peak_e * light).astype(np.float32)
    touched = np.abs(across) <= 2 * trail.sigma_px
    return touched & (along >= 0) & (along <= length)


def bleed(electrons: np.ndarray, full_well_e: float) -> np.ndarray:
    """Let charge above the full well flow along its column, half up, half down (in place).

    Charge is conserved but for what leaves the image at its upper and lower edge.

    Returns
    -------
    (ny, nx) bool : pixels that are full.
    """
    for x in np.flatnonzero((electrons > full_well_e).any(axis=0)):
        column = electrons[:, x].astype(np.float64)
        excess = np.maximum(column - full_well_e, 0.0)
        column -= excess
        for direction in (1, -1):
            moving = 0.0
            for y in range(column.size)[::direction]:
                moving += 0.5 * excess[y]
                if moving > 0:
                    taken = min(moving, full_well_e - column[y])
                    column[y] += taken
                    moving -= taken
        electrons[:, x] = column
    return electrons >= 0.999 * full_well_e
