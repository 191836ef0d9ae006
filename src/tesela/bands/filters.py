"""Filter curves: the total throughput of telescope, filter, detector and air against wavelength."""
# ruff: noqa: N802, N815 - A is the Angstrom

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from tesela.errors import ConfigError

_SETS = {"jplus": "filters_jplus.npz", "sdss": "filters_sdss.npz"}


@dataclass(frozen=True)
class FilterCurve:
    """One photon-counting throughput curve.

    Parameters
    ----------
    name : str
        Name of the band, such as ``rSDSS``.
    wavelength_A : ndarray, (n,) float64
        Increasing wavelengths in Angstrom (vacuum and air are not told apart at this precision).
    throughput : ndarray, (n,) float64
        Electrons per photon above the atmosphere, >= 0; linear between the points, zero outside.
    """

    name: str
    wavelength_A: np.ndarray
    throughput: np.ndarray

    @property
    def pivot_A(self) -> float:
        """Pivot wavelength sqrt(int T l dl / int T dl / l), which ties f_nu to f_lambda."""
        lam, t = self.wavelength_A, self.throughput
        return float(np.sqrt(np.trapezoid(t * lam, lam) / np.trapezoid(t / lam, lam)))

    @property
    def mean_A(self) -> float:
        """Mean wavelength, weighted by the throughput."""
        lam, t = self.wavelength_A, self.throughput
        return float(np.trapezoid(t * lam, lam) / np.trapezoid(t, lam))

    @property
    def fwhm_A(self) -> float:
        """Distance between the outermost half-maximum crossings."""
        lam, t = self.wavelength_A, self.throughput
        half = 0.5 * t.max()
        first, last = np.flatnonzero(t >= half)[[0, -1]]
        low = np.interp(half, t[first - 1 : first + 1], lam[first - 1 : first + 1])
        high = np.interp(half, t[last : last + 2][::-1], lam[last : last + 2][::-1])
        return float(high - low)

    def shifted(self, shift_A: float) -> FilterCurve:
        """Return the same curve moved along the wavelength by `shift_A`."""
        return replace(self, wavelength_A=self.wavelength_A + shift_A)


@cache
def _table(set_name: str) -> dict[str, FilterCurve]:
    if set_name not in _SETS:
        raise ConfigError(
            f"filter set {set_name!r}", found="no such set", expected=" or ".join(_SETS)
        )
    path = files("tesela.bands").joinpath("data", _SETS[set_name])
    with path.open("rb") as stream, np.load(stream) as table:
        lam, rows, labels = table["wavelength_A"], table["throughput"], table["names"]
    curves = {}
    for label, row in zip(labels, rows):
        inside = np.flatnonzero(row > 0)
        cut = slice(inside[0] - 1, inside[-1] + 2)
        arrays = lam[cut].astype(np.float64), row[cut].astype(np.float64)
        for array in arrays:
            array.setflags(write=False)
        curves[str(label)] = FilterCurve(str(label), *arrays)
    return curves


def names(set_name: str = "jplus") -> tuple[str, ...]:
    """Names of the filters of a set (``jplus`` or ``sdss``), in order of wavelength.

    Catalogues of J-PLUS list their bands in another order (broad bands first); arrays of ours
    are always in order of wavelength, which this function defines.
    """
    return tuple(_table(set_name))


def load(name: str) -> FilterCurve:
    """Curve of one band, such as ``J0660`` (J-PLUS) or ``r`` (SDSS)."""
    for set_name in _SETS:
        if name in _table(set_name):
            return _table(set_name)[name]
    known = " ".join(label for set_name in _SETS for label in _table(set_name))
    raise ConfigError(f"filter {name!r}", found="no curve of that name", expected=f"one of {known}")
