"""Magnitudes and colours of a band in a reference catalogue, as a survey names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tesela.bands import transform
from tesela.errors import ConfigError, QualityError

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

_DEFAULT_ERROR_MAG, _UNKNOWN_ERROR_MAG = 0.01, 0.1


class Named(Protocol):
    """What a survey says of a band: the settings `config.Reference` are such a thing."""

    @property
    def mag(self) -> str: ...
    @property
    def err(self) -> str: ...
    @property
    def transform(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def colour(self) -> Sequence[str]: ...
    @property
    def colour_coefficient(self) -> float | str | None: ...


def check(reference: Named, where: str) -> None:
    """Refuse settings that name a transformation that does not exist, or not all it needs.

    Raises `ConfigError` naming `where`.
    """
    if not reference.transform:
        return
    if reference.transform not in transform.names():
        raise ConfigError(
            f"{where}.transform",
            found=repr(reference.transform),
            expected=f"one of {' '.join(transform.names())}",
        )
    needed = transform.get(reference.transform).coefficients
    missing = [band for band in needed if band not in reference.columns]
    if missing:
        raise ConfigError(
            f"{where}.columns", found=f"no {' '.join(missing)}", expected=f"{' '.join(needed)}"
        )


def magnitudes(refcat: Columns, rows: NDArray[np.int64], reference: Named) -> tuple[Floats, Floats]:
    """Magnitudes and errors in a band, from a column or a named transformation.

    Parameters
    ----------
    refcat : mapping of str to (m,) ndarray
    rows : (n,) int64
        Rows wanted.
    reference : Named

    Returns
    -------
    mag, err : (n,) float64, mag
        NaN where the catalogue has no value. An error that is not known is 0.1 mag, and 0.01 mag
        for all if the survey names no column of errors.

    Raises
    ------
    QualityError
        If the catalogue lacks a column that the survey names.
    """
    if reference.transform:
        inputs = {n: column(refcat, named, rows) for n, named in reference.columns.items()}
        mag, err = transform.apply(reference.transform, inputs)
        return np.asarray(mag), np.asarray(err)
    mag = column(refcat, reference.mag, rows)
    if not reference.err:
        return mag, np.full(len(rows), _DEFAULT_ERROR_MAG)
    err = column(refcat, reference.err, rows)
    return mag, np.where(err >= 0, err, _UNKNOWN_ERROR_MAG)


def colours(refcat: Columns, rows: NDArray[np.int64], reference: Named) -> Floats | None:
    """Colours (n,) of the colour term, None if the survey wants no such term."""
    if reference.colour_coefficient is None:
        return None
    blue, red = reference.colour
    return column(refcat, blue, rows) - column(refcat, red, rows)


def column(refcat: Columns, name: str, rows: NDArray[np.int64]) -> Floats:
    """Rows (n,) of a column of numbers that the survey names; `QualityError` if it is not there."""
    if name not in refcat or refcat[name].dtype.kind not in "fiu":
        have = sorted(n for n, values in refcat.items() if values.dtype.kind in "fiu")
        raise QualityError(
            "reference catalogue",
            found=f"no column {name!r} of numbers" if name else "no magnitude named for this band",
            expected=f"one of {' '.join(have)} in [filters.BAND.reference]",
            do="correct survey.toml",
        )
    return np.asarray(refcat[name][rows], dtype=np.float64)
