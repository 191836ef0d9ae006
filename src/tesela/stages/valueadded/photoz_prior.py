"""What is known of galaxies before their colours are looked at: luminosities and volume.

Galaxies fill space evenly and follow a luminosity function. With it the probability of redshift
and type for a magnitude needs no fit to counts and holds at any magnitude:

    p(z, T | m) ~ phi(L(m, z, T)) L dV/dz share(T),

where L comes with the K correction of the template itself. It stands in the place of the fits of
Benitez (2000, ApJ 536, 571), which were made for I > 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tesela.stages.valueadded.photoz_templates import Floats, Templates, fluxes

# Schechter function in r as seen at z = 0.1 (Montero-Dorta & Prada 2009, MNRAS 399, 1106), for
# H0 = 100 km/s/Mpc; evolution of the whole sample of Loveday et al. (2015, MNRAS 451, 1540), who
# reach z = 0.65.
STAR_MAG = -20.73
SLOPE = -1.23
EVOLUTION_MAG = 1.0  # brighter by this times z - 0.1
DENSITY_EVOLUTION = 1.0  # denser by 10 ** (0.4 * this * z)
EVOLUTION_REDSHIFT = 0.1
EVOLUTION_ENDS = 0.65
OMEGA_M = 0.3
HUBBLE_MPC = 2997.92458  # c / H0 for H0 = 100 km/s/Mpc
AB_ZERO_UJY_MAG = 23.9


@dataclass(frozen=True)
class Space:
    """Distances in a flat universe."""

    distance_modulus: Floats
    """(n_z,) m - M without K correction."""
    volume: Floats
    """(n_z,) comoving volume per unit of redshift, arbitrary unit."""


def space(z: Floats) -> Space:
    """Distance modulus and volume at redshifts above 0."""
    fine = np.linspace(0.0, float(z.max()), 2001)
    rate = 1 / np.sqrt(OMEGA_M * (1 + fine) ** 3 + 1 - OMEGA_M)
    path = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(fine))])
    comoving = HUBBLE_MPC * np.interp(z, fine, path)
    modulus = 5 * np.log10(comoving * (1 + z)) + 25
    return Space(modulus, comoving**2 * np.interp(z, fine, rate))


def star_fluxes_ujy(templates: Templates, reference: str, z: Floats) -> Floats:
    """Scale that makes a template a galaxy of luminosity L*.

    Returns
    -------
    ndarray, (n_z, n_template)
        Factor from the unit of `photoz_templates.fluxes` to microjansky.
    """
    shifted = np.array([EVOLUTION_REDSHIFT])
    at_reference = fluxes(templates, (reference,), shifted)[0, 0]
    around = space(z).distance_modulus
    star = STAR_MAG - EVOLUTION_MAG * (np.minimum(z, EVOLUTION_ENDS) - EVOLUTION_REDSHIFT)
    # In r as seen at z = 0.1 the K correction of a galaxy there is that of a flat spectrum.
    ujy = (1 + EVOLUTION_REDSHIFT) * 10 ** (0.4 * (AB_ZERO_UJY_MAG - star - around))
    return ujy[:, None] / at_reference[None, :]


def log_weight(templates: Templates, z: Floats) -> Floats:
    """ln of volume, density and share of each template, (n_z, n_template)."""
    density = 0.4 * np.log(10) * DENSITY_EVOLUTION * np.minimum(z, EVOLUTION_ENDS)
    return (np.log(space(z).volume) + density)[:, None] + np.log(templates.share)[None, :]
