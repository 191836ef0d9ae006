"""FITS header cards of a tangent-plane or TPV world coordinate system, written and read.

TPV is written in full, PVi_0 and PVi_1 included: readers that expect SCAMP's older cards (RA---TAN
with PV) understand it as well. SIP is read.

Greisen & Calabretta 2002, A&A 395, 1061 for the cards; TPV as in the FITS registry of conventions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.sky import sip, tpv

Floats = NDArray[np.float64]

_PV_NAME = re.compile(r"PV([12])_(\d+)")


@dataclass(frozen=True)
class Numbers:
    """What the cards say, pixels already counted from 0."""

    crval: Floats
    crpix: Floats
    cd: Floats
    pv: Floats | None
    shape: tuple[int, int]


def write(crval: Floats, crpix: Floats, cd: Floats, pv: Floats | None) -> dict[str, float | str]:
    """Cards, in writing order, for a WCS whose `crpix` counts from 0."""
    projection = "TAN" if pv is None else "TPV"
    cards: dict[str, float | str] = {
        "CTYPE1": f"RA---{projection}",
        "CTYPE2": f"DEC--{projection}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
    }
    for axis in (0, 1):
        cards[f"CRVAL{axis + 1}"] = float(crval[axis])
    for axis in (0, 1):
        cards[f"CRPIX{axis + 1}"] = float(crpix[axis]) + 1.0
    for row in (0, 1):
        for column in (0, 1):
            cards[f"CD{row + 1}_{column + 1}"] = float(cd[row, column])
    if pv is not None:
        last = int(np.nonzero(pv.any(axis=0))[0].max(initial=1))
        for axis in (0, 1):
            for index in range(last + 1):
                # The terms in r are written only when used: readers disagree on their zeros.
                if tpv.TERMS[index][2] == 0 or pv[axis, index] != 0:
                    cards[f"PV{axis + 1}_{index}"] = float(pv[axis, index])
    return cards


def read(header: Mapping[str, Any], shape: tuple[int, int] | None) -> Numbers:
    """Read the cards; see `Wcs.from_cards`."""
    ctypes = [str(header.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]
    if ctypes not in ([f"RA---{kind}", f"DEC--{kind}"] for kind in ("TAN", "TPV", "TAN-SIP")):
        raise BadInput(
            "WCS cards CTYPE1, CTYPE2",
            found=f"{ctypes[0]!r}, {ctypes[1]!r}",
            expected="RA---TAN, DEC--TAN, or with TPV or TAN-SIP for TAN, in this order",
            do="give the frame a tangent-plane WCS or leave it to the astrometric solution",
        )
    frame = str(header.get("RADESYS", "ICRS")).strip().upper()
    if frame not in ("ICRS", "FK5", ""):
        raise BadInput(
            "WCS card RADESYS", found=repr(frame), expected="ICRS, or FK5 of equinox 2000"
        )
    cd = _read_matrix(header)
    pv = _read_pv(header, declared=ctypes[0].endswith("TPV"))
    if ctypes[0].endswith("SIP"):
        # SIP moves pixels, TPV the plane: who writes both means the same twice.
        terms = sip.coefficients(header)
        pv = sip.to_pv(terms, cd) if terms else None
    return Numbers(
        crval=np.array([_number(header, "CRVAL1"), _number(header, "CRVAL2")]),
        crpix=np.array([_number(header, "CRPIX1") - 1.0, _number(header, "CRPIX2") - 1.0]),
        cd=cd,
        pv=pv,
        shape=shape if shape is not None else _read_shape(header),
    )


def _number(header: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value: Any = header.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise BadInput(
            f"WCS card {name}",
            found="it is missing" if value is None else f"{value!r}",
            expected="a finite number",
            do="correct the card or leave the frame to the astrometric solution",
        )
    return number


def _read_matrix(header: Mapping[str, Any]) -> Floats:
    names = [["CD1_1", "CD1_2"], ["CD2_1", "CD2_2"]]
    if any(name in header for row in names for name in row):
        return np.array([[_number(header, name, 0.0) for name in row] for row in names])
    cdelt = np.array([_number(header, "CDELT1"), _number(header, "CDELT2")])
    if "CROTA2" in header:
        angle = np.radians(_number(header, "CROTA2"))
        sin, cos = np.sin(angle), np.cos(angle)
        return np.array([[cdelt[0] * cos, -cdelt[1] * sin], [cdelt[0] * sin, cdelt[1] * cos]])
    pc = np.array(
        [
            [_number(header, f"PC{row}_{column}", float(row == column)) for column in (1, 2)]
            for row in (1, 2)
        ]
    )
    return cdelt[:, None] * pc


def _read_pv(header: Mapping[str, Any], *, declared: bool) -> Floats | None:
    found: dict[tuple[int, int], float] = {}
    for name in list(header.keys()):
        match = _PV_NAME.fullmatch(str(name))
        if match:
            found[int(match[1]) - 1, int(match[2])] = _number(header, str(name))
    # A TAN with PV1_m alone uses them for the native pole (FITS paper II), not for a distortion.
    if not found or not (declared or any(axis == 1 for axis, _ in found)):
        return None
    pv = tpv.identity()
    for (axis, index), value in found.items():
        if index >= tpv.N_TERMS:
            raise BadInput(
                f"WCS card PV{axis + 1}_{index}",
                found="a term beyond degree 7",
                expected=f"PVi_j with j below {tpv.N_TERMS}",
            )
        pv[axis, index] = value
    return None if np.array_equal(pv, tpv.identity()) else pv


def _read_shape(header: Mapping[str, Any]) -> tuple[int, int]:
    prefix = "ZNAXIS" if "ZNAXIS1" in header else "NAXIS"
    nx, ny = (int(_number(header, f"{prefix}{axis}")) for axis in (1, 2))
    return ny, nx
