"""The masters of a frame, checked against its camera, as the arrays that the detector needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.errors import BadInput
from tesela.pixels import crosstalk, framestats, illumination
from tesela.pixels.detrend import NOTHING
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.products.masterkind import KINDS, QUICK, STANDS_IN
from tesela.stages.reduce.masternoise import MasterNoise

_REQUIRED = ("BIAS", "FLAT")
_PLANES = ("BIAS", "DARK", "FLAT", "FRINGE", "PATTERN")
_DO = "use masters of the same camera, read-out mode and binning"


@dataclass(frozen=True)
class Calset:
    """Arrays of the masters; what there is none of is empty."""

    bias: NDArray[np.float32]
    dark: NDArray[np.float32]
    """(ny, nx) electrons a second."""
    response: NDArray[np.float32]
    """(ny, nx) that stars see: flat x 10^(-0.4 f), f the illumination correction; without
    crosstalk, where its matrix is known; 1 where bad.

    Dividing by it multiplies fluxes by 10^(+0.4 f) and their variance by 10^(+0.8 f).
    """
    flat_kind: str
    """FLAT, or the kind that stands in for it."""
    linearity: NDArray[np.float32]
    """(n_amp, k) coefficients."""
    pivot_adu: float
    crosstalk: NDArray[np.float32]
    """(n_amp, n_amp) [victim, aggressor]."""
    crosstalk_source: str
    illumination: NDArray[np.float32]
    """(my, mx) mag, instrumental minus true, on nodes."""
    bad: NDArray[np.bool_]
    """(ny, nx) True where any of the masters says so."""
    patterns: Mapping[str, Master] = field(default_factory=dict)
    """FRINGE and PATTERN, relative to the sky."""
    noise: MasterNoise = field(default_factory=MasterNoise)
    lacking: tuple[str, ...] = ()
    """BIAS or FLAT, where there is none: nothing is subtracted, or nothing flattened."""

    @classmethod
    def nothing(cls) -> Calset:
        """Of a frame that is looked at and not corrected."""
        bad = np.empty((0, 0), np.bool_)
        return cls(
            NOTHING, NOTHING, NOTHING, "none", NOTHING, 1.0, NOTHING, "none known", NOTHING, bad
        )


def prepare(
    masters: Mapping[str, Master], camera: Camera, name: str, profile: str = "reduced"
) -> Calset:
    """Make of masters, by kind, what the frames that share them are corrected with.

    BIAS and FLAT, or what stands in for it, are needed; another kind that is not there, or does
    not belong to the profile, is not applied. Raises `BadInput`, naming `name`, if a master is
    missing that every frame needs, or does not fit the camera.
    """
    masters = {
        kind: master
        for kind, master in masters.items()
        if kind not in KINDS or profile in KINDS[kind].profiles
    }
    _check(masters, camera, name)
    line, cross = masters.get("LINEARITY"), masters.get("CROSSTALK")
    lit, dark = masters.get("ILLUMINATION"), masters.get("DARK")
    if cross is not None:
        matrix, source = np.array(cross.arrays["matrix"], np.float32), "of the master"
    elif camera.crosstalk and profile in KINDS["CROSSTALK"].profiles:
        matrix, source = np.array(camera.crosstalk, np.float32), "of the camera"
    else:
        matrix, source = NOTHING, "none known"
    bad = _bad(masters)
    flat = _without_ghosts(masters["FLAT"].image, matrix, bad, camera)
    nodes = NOTHING if lit is None else np.array(lit.arrays["map"], np.float32)
    return Calset(
        bias=masters["BIAS"].image,
        dark=NOTHING if dark is None else dark.image,
        response=_response(flat, nodes, bad),
        flat_kind=masters["FLAT"].kind,
        linearity=NOTHING if line is None else np.array(line.arrays["coefficients"], np.float32),
        pivot_adu=1.0 if line is None else float(np.ravel(line.arrays["pivot_adu"])[0]),
        crosstalk=matrix,
        crosstalk_source=source,
        illumination=nodes,
        bad=bad,
        patterns={kind: masters[kind] for kind in ("FRINGE", "PATTERN") if kind in masters},
        noise=MasterNoise.of(masters),
    )


def approximate(
    masters: Mapping[str, Master], camera: Camera, name: str, profile: str = QUICK
) -> Calset:
    """The same without a bias or a flat, where there is none: a quick look waits for neither, and
    frames may come corrected from their telescope.

    Raises `BadInput` if a master does not fit the camera.
    """
    lacking = tuple(kind for kind in _REQUIRED if kind not in masters)
    plain = {kind: _plain(kind, camera) for kind in lacking}
    calset = prepare({**plain, **masters}, camera, name, profile)
    flat_kind = "none" if "FLAT" in lacking else calset.flat_kind
    return replace(calset, flat_kind=flat_kind, lacking=lacking)


def _plain(kind: str, camera: Camera) -> Master:
    """A master that changes nothing."""
    plane = np.full(camera.shape, 1 if kind == "FLAT" else 0, np.float32)
    return Master(kind, plane, np.zeros((0, 0), np.uint8))


def _response(
    flat: NDArray[np.float32], nodes: NDArray[np.float32], bad: NDArray[np.bool_]
) -> NDArray[np.float32]:
    if nodes.size:
        response = illumination.factor(nodes, (flat.shape[0], flat.shape[1]))
        response *= flat
    else:
        response = np.array(flat, np.float32)
    response[bad] = 1
    return response


def _without_ghosts(
    flat: NDArray[np.float32],
    matrix: NDArray[np.float32],
    bad: NDArray[np.bool_],
    camera: Camera,
) -> NDArray[np.float32]:
    """The flat without the crosstalk that is in it, its median good pixel at 1 again.

    A flat lights all amplifiers: each holds 1 + sum_a C[victim, a] of its own light. A frame is
    divided by it after its own ghosts are gone, so amplifiers whose rows of C differ would come
    out at different levels. One number normalises the whole CCD. One pass, and one more plane.
    """
    if not matrix.any():
        return flat
    # A pixel of which the flat knows nothing must not spoil those that hear it.
    known = np.isfinite(flat)
    lit = flat if known.all() else np.where(known, flat, np.float32(1))
    amplifiers = camera.amplifiers
    clean, _ = crosstalk.correct(
        lit,
        camera.sections("dest"),
        matrix,
        np.array([amp.flip_x for amp in amplifiers]),
        np.array([amp.flip_y for amp in amplifiers]),
    )
    good = framestats.sample(clean)[~framestats.sample(bad)]
    typical = float(np.median(good)) if good.size else 1.0
    return np.multiply(clean, np.float32(1 / typical), out=None if clean is flat else clean)


def _bad(masters: Mapping[str, Master]) -> NDArray[np.bool_]:
    """What the masks call bad, and pixels of which a master knows nothing."""
    flat = masters["FLAT"].image
    bad = ~((flat > 0) & np.isfinite(flat))
    for kind in ("BIAS", "DARK"):
        if kind in masters:
            bad |= ~np.isfinite(masters[kind].image)
    for kind in ("BIAS", "DARK", "FLAT", "BADPIXEL"):
        if kind in masters and masters[kind].mask.size:
            bad |= (masters[kind].mask & MaskBit.BAD) > 0
    return bad


def _check(masters: Mapping[str, Master], camera: Camera, name: str) -> None:
    missing = [kind for kind in _REQUIRED if kind not in masters]
    if missing:
        raise BadInput(
            name,
            found=f"no master {' and no master '.join(missing)}",
            expected="a bias and a flat at least",
            do="build them, or widen their validity",
        )
    for kind, master in masters.items():
        if kind not in KINDS or master.kind not in (kind, STANDS_IN.get(kind)):
            raise BadInput(
                f"master {kind} of {name}",
                found=f"a master of kind {master.kind!r}",
                expected=f"{kind}" if kind in KINDS else f"one of {', '.join(KINDS)}",
                do="look at what the calset is made of",
            )
        _check_planes(kind, master, camera, name)
        _check_arrays(kind, master, camera, name)


def _check_planes(kind: str, master: Master, camera: Camera, frame: str) -> None:
    shape = camera.shape
    has_mask = kind == "BADPIXEL"
    for name, plane, is_needed in (
        ("image", master.image, kind in _PLANES),
        ("mask", master.mask, has_mask),
    ):
        if (is_needed or plane.size) and plane.shape != shape:
            raise BadInput(
                f"master {kind} of {frame}",
                found=f"{name} of shape {plane.shape}",
                expected=f"{shape}, the trimmed image of {camera.name}",
                do=_DO,
            )


def _check_arrays(kind: str, master: Master, camera: Camera, frame: str) -> None:
    n_amp = len(camera.amplifiers)
    if kind == "LINEARITY":
        _check_array(master, "coefficients", (n_amp, None), frame)
        _check_array(master, "pivot_adu", (None,), frame)
    elif kind == "CROSSTALK":
        _check_array(master, "matrix", (n_amp, n_amp), frame)
    elif kind == "ILLUMINATION":
        _check_array(master, "map", (None, None), frame)


def _check_array(master: Master, name: str, shape: tuple[int | None, ...], frame: str) -> None:
    """`None` is any length but 0."""
    array: NDArray[Any] | None = master.arrays.get(name)
    fits = (
        array is not None
        and array.size > 0
        and array.ndim == len(shape)
        and all(wanted in (None, size) for wanted, size in zip(shape, array.shape))
        and bool(np.isfinite(array).all())
    )
    if not fits:
        lengths = ", ".join("any" if size is None else str(size) for size in shape)
        raise BadInput(
            f"master {master.kind} of {frame}",
            found=f"no array {name!r}"
            if array is None
            else f"{name} of shape {array.shape}, {np.count_nonzero(np.isfinite(array))} finite",
            expected=f"{name} of shape ({lengths}), all finite",
            do=_DO,
        )
