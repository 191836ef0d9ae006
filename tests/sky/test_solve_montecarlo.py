"""Many fields with all errors of the pointing at once: each is solved right, or refused.

A solved field is *right* where its WCS is nowhere farther from the truth than a few times the error
that it states for its worst corner.
"""

from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.sky import agree
from tesela.sky.solve import solve

from .fields import Recipe, make

FIELDS = 24
KINDS = {
    "30 stars": Recipe(n_stars=30, missing=0.1, saturated=0.05, spurious=0.3, distortion_px=0.5),
    "usual": Recipe(),
    "dense, distorted": Recipe(n_stars=6000, size_px=9216, distortion_px=9.0),
    "reference ten times deeper": Recipe(n_stars=100, extra_faint=10.0, size_px=4096),
    "reference shallower": Recipe(n_stars=2000, reference_limit_mag=18.5, size_px=4096),
    "mostly galaxies and noise": Recipe(n_stars=300, spurious=0.8, size_px=4096),
}


def hard(recipe: Recipe, seed: int) -> Recipe:
    """Two arcmin, two degrees and one percent off, anywhere on the sky, at any angle."""
    rng = np.random.default_rng(1000 + seed)
    angle = rng.uniform(0, 2 * np.pi)
    return replace(
        recipe,
        seed=seed,
        offset_arcsec=(119 * np.cos(angle), 119 * np.sin(angle)),
        rotation_deg=rng.choice([-2.0, 2.0]),
        scale_ratio=1 + rng.choice([-0.01, 0.01]),
        position_angle_deg=rng.uniform(0, 360),
        dec_deg=rng.uniform(-80, 80),
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())
def test_every_field_is_solved_right(recipe):
    for seed in range(FIELDS if recipe.n_stars < 5000 else FIELDS // 2):
        field = make(hard(recipe, seed))
        solution = solve(*field.arguments())
        error_px = solution.error_arcsec / recipe.scale_arcsec
        assert field.worst_px(solution.wcs) < 0.2 + 6 * error_px, seed
        assert field.worst_px(solution.wcs) < 1.5, seed
        found = agree.compare(field.x, field.y, solution.wcs, field.ref_ra, field.ref_dec)
        agree.require(found, 0.07)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())
def test_no_wrong_field_is_solved(recipe):
    for seed in range(FIELDS // 2 if recipe.n_stars < 5000 else 4):
        field = make(hard(recipe, seed))
        other = make(hard(recipe, seed + 500))
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(field.ref_ra))
        shift_deg = 0.2 / np.cos(np.radians(field.guess.crval[1]))
        x, y, flux, ra, dec, mag, guess = field.arguments()
        away = other.ref_dec - other.guess.crval[1] + guess.crval[1]
        for wrong in (
            (other.ref_ra, away, other.ref_mag),  # another field
            (ra[shuffled], dec, mag),  # right ascensions of others
            (ra + shift_deg, dec, mag),  # 12 arcmin away
        ):
            with pytest.raises(QualityError):
                solve(x, y, flux, *wrong, guess)


def test_mismatched_reference_stars_do_not_matter():
    field = make(Recipe(n_stars=3000, size_px=4096))
    rng = np.random.default_rng(1)
    dec = field.ref_dec.copy()
    wrong = rng.random(len(dec)) < 0.005
    dec[wrong] += rng.normal(0, 1.0, wrong.sum()) / 3600
    solution = solve(*field.arguments()[:4], dec, *field.arguments()[5:])
    assert field.worst_px(solution.wcs) < 0.1
