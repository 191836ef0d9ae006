"""What is known of galaxies before their colours are looked at: luminosities and volume.

Galaxies fill space evenly and follow a luminosity function. With it the probability of redshift
and type for a magnitude needs no fit to counts and holds at any magnitude:

    p(z, T | m) ~ phi(L) L dV/dz share(T),   L = L(m, z, T),

where L comes with the K correction of the template itself. It stands in the place of the fits of
Benitez (2000, ApJ 536, 571), which were made for I > 20. One function serves all types: the
function of red galaxies alone falls so steeply to faint ones that a wrong type costs the redshift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tesela.products.calibrated import AB_ZERO_UJY_MAG
from tesela.stages.valueadded.photoz_templates import Floats, Templates, fluxes

# Schechter function and evolution of all galaxies in r as seen at z = 0.1, for H0 = 100 km/s/Mpc
# (Loveday et al. 2012, MNRAS 420, 1239, tables 3 and 5; their galaxies reach z = 0.5).
STAR_MAG = -20.73
SLOPE = -1.26
EVOLUTION_MAG = 0.2  # brighter by this times z - 0.1
DENSITY_EVOLUTION = 1.6  # denser by 10 ** (0.4 * this * z)
EVOLUTION_ENDS = 0.5
LIBRARY_REDSHIFT = 0.1
OMEGA_M = 0.3
HUBBLE_MPC = 2997.92458  # c / H0 for H0 = 100 km/s/Mpc


@dataclass(frozen=True)
class Space:
    """Distances in a flat universe."""

    distance_modulus: Floats
    """(n_z,) m - M without K correction."""
    volume: Floats
    """(n_z,) comoving volume per unit of redshift, arbitrary unit."""


@dataclass(frozen=True)
class Prior:
    """Prior of each template."""

    log_weight: Floats
    """(n_z, n_template) ln of volume, density and share; per unit of redshift."""
    star_ujy: Floats
    """(n_z, n_template) factor that makes `photoz_templates.fluxes` those of an L* galaxy."""


def space(z: Floats) -> Space:
    """Distance modulus and volume at redshifts above 0."""
    fine = np.linspace(0.0, float(z.max()), 2001)
    rate = 1 / np.sqrt(OMEGA_M * (1 + fine) ** 3 + 1 - OMEGA_M)
    path = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(fine))])
    comoving = HUBBLE_MPC * np.interp(z, fine, path)
    modulus = 5 * np.log10(comoving * (1 + z)) + 25
    return Space(modulus, comoving**2 * np.interp(z, fine, rate))


def make(templates: Templates, z: Floats) -> Prior:
    """Prior of templates at redshifts above 0."""
    at_library = fluxes(templates, ("r",), np.array([LIBRARY_REDSHIFT]))[0, 0]
    around, evolved = space(z), np.minimum(z, EVOLUTION_ENDS)
    grown = np.log(around.volume) + 0.4 * np.log(10) * DENSITY_EVOLUTION * evolved
    star = STAR_MAG - EVOLUTION_MAG * (evolved - LIBRARY_REDSHIFT) + around.distance_modulus
    # In r as seen at z = 0.1 the K correction of a galaxy there is that of a flat spectrum.
    ujy = (1 + LIBRARY_REDSHIFT) * 10 ** (0.4 * (AB_ZERO_UJY_MAG - star))
    return Prior(
        grown[:, None] + np.log(templates.share)[None, :],
        ujy[:, None] / at_library[None, :],
    )
