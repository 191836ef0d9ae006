"""A camera's description against one of its frames: what is understood, and what is doubtful.

Ingest ends with the first thing that is wrong. Who writes a description wants all of them at once,
and the levels of each output beside them, where a section in the wrong place shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Amplifier, Camera
from tesela.config import Survey
from tesela.errors import BadInput
from tesela.pixels import holes, overscan
from tesela.products import rawfile
from tesela.products.frame import night_of
from tesela.products.rawparts import Reading
from tesela.stages.ingest import describe
from tesela.stages.ingest.cards import Header, text
from tesela.stages.ingest.starts import start

T = TypeVar("T")
Pixels = NDArray[np.uint16] | NDArray[np.float32]
_NOISE_RATIO = 1.5
_SCALE_RATIO = 1.03
_DIRECTION = 0.9
_ODD_COLUMN = 3.0
"""In read noises of one pixel: columns are medians of many."""
_GEOMETRY = ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "DETSEC", "CCDSUM", "GAIN", "RDNOISE")
"""Cards by which headers tell what a description has to: shown, as they may be wrong."""


@dataclass(frozen=True)
class Output:
    """An amplifier in the frame, ADU; NaN where there is no strip to measure."""

    id: int
    sections: dict[str, str]
    gain_e_per_adu: float
    stated_noise_e: float
    zero_adu: float
    noise_e: float
    level_adu: float
    """Median of its data, raw."""
    lowest_adu: float
    highest_adu: float
    saturation_adu: float


@dataclass
class Inspection:
    """What was found in one frame."""

    file: str
    size: str = ""
    pixel_type: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    cards: dict[str, Any] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Ingest would refuse the frame."""
    doubts: list[str] = field(default_factory=list)
    """It would be taken, but something looks wrong."""


def inspect(
    path: Path, camera: Camera, survey: Survey | None = None
) -> tuple[Inspection, Camera, Pixels | None]:
    """Read a frame as a camera's description says.

    `survey` tells which filters there are; without it any is taken. Returns what was found, the
    camera as this frame has it, and its pixels: None if they cannot be read.
    """
    found = Inspection(path.name)
    seen: dict[str, Any] = {}

    def judge(header: Header, shape: tuple[int, int]) -> Reading:
        seen.update(header=header, shape=shape)
        return camera.reading

    read = _tried(found, lambda: rawfile.read(path, judge))
    if not seen:
        return found, camera, None
    header, shape = seen["header"], seen["shape"]
    found.size = f"{shape[1] * camera.images}x{shape[0]}"
    found.cards = {name: header[name] for name in _GEOMETRY if name in header}
    camera = _facts(found, header, shape, camera, survey)
    _compare_wcs(found, header, camera)
    if read is None:
        return found, camera, None
    pixels = read[1]
    found.pixel_type = pixels.dtype.name
    if pixels.shape == (camera.raw_ny, camera.raw_nx):
        _measure(found, pixels, camera)
    return found, camera, pixels


def _tried(found: Inspection, what: Callable[[], T]) -> T | None:
    try:
        return what()
    except BadInput as error:
        found.problems.append(str(error))
        return None


def _facts(
    found: Inspection,
    header: Header,
    shape: tuple[int, int],
    camera: Camera,
    survey: Survey | None,
) -> Camera:
    """All that ingest asks of the header; returns the camera with what the header says."""
    where, facts = found.file, found.facts
    facts["instrument"] = text(header, camera.header.instrument)
    _tried(found, lambda: describe.camera_of(header, shape, [camera], where))
    _tried(found, lambda: describe.check_size(shape, camera, where))
    ccd = facts["ccd"] = _tried(found, lambda: describe.ccd_of(header, camera, where))
    if ccd is not None:
        camera = camera.for_ccd(ccd)
    camera = _tried(found, lambda: camera.with_header(header, where)) or camera
    kind = _tried(found, lambda: describe.image_type_of(header, camera, where))
    mjd = _tried(found, lambda: start(header, camera, where))
    facts["object"] = text(header, camera.header.object)
    if mjd is not None:
        facts.update(mjd_start=mjd, night=night_of(mjd, camera.longitude_deg))
    if kind is None:
        return camera
    facts.update(obstype=kind.obstype, flat_kind=kind.flat_kind)
    facts["exptime_s"] = _tried(
        found, lambda: describe.exposure_time_of(header, camera, kind, where)
    )
    if kind.obstype in ("flat", "science"):
        facts["filter"] = describe.filter_card(header, camera)[1]
        if survey is not None:
            chosen = _tried(found, lambda: describe.filter_of(header, camera, survey, where))
            facts["band"] = None if chosen is None else chosen[0]
        elif facts["filter"] is None:
            found.problems.append(
                f"{where}: no card {', '.join(camera.header.filter)}; expected the filter; "
                "name its card in [header]"
            )
    if kind.obstype == "science" and mjd is not None:
        point = _tried(found, lambda: describe.pointing_of(header, camera, mjd, where))
        if point is not None:
            facts.update(ra_deg=point[0], dec_deg=point[1])
    return camera


def _measure(found: Inspection, pixels: Pixels, camera: Camera) -> None:
    raw: NDArray[Any] = pixels
    missing = holes.find(raw)
    if missing is not None:
        found.doubts.append(f"{np.count_nonzero(missing)} pixels are no number: they become BAD")
        raw = holes.fill(raw, missing, camera.read_sections())
    strip = overscan.measure(
        raw, camera.sections("overscan"), camera.sections("data"),
        parallel=camera.sections("parallel"),
    )  # fmt: skip
    for n, amp in enumerate(camera.amplifiers):
        data = raw[amp.data.slices]
        is_measured = bool(np.isfinite(strip.noise_adu[n]))
        output = Output(
            id=amp.id,
            sections={
                name: section.fits()
                for name in ("data", "overscan", "prescan", "parallel")
                if (section := getattr(amp, name)) is not None
            },
            gain_e_per_adu=amp.gain_e_per_adu,
            stated_noise_e=amp.readnoise_e,
            zero_adu=float(np.median(strip.level[n])) if is_measured else math.nan,
            noise_e=float(strip.noise_adu[n]) * amp.gain_e_per_adu,
            level_adu=float(np.median(data)),
            lowest_adu=float(data.min()),
            highest_adu=float(data.max()),
            saturation_adu=amp.saturation_adu,
        )
        found.outputs.append(output)
        found.doubts += _doubts(amp, output, str(found.facts.get("obstype", "")))
        found.doubts += _odd_columns(raw, amp)


def _doubts(amp: Amplifier, output: Output, obstype: str) -> list[str]:
    said, who = [], f"amplifier {amp.id}"
    if math.isnan(output.noise_e):
        said.append(f"{who} has no overscan: its level is that of the master bias")
    elif output.noise_e > _NOISE_RATIO * amp.readnoise_e:
        said.append(
            f"{who}: the noise of its overscan is {output.noise_e:.2f} e-, readnoise_e says "
            f"{amp.readnoise_e:g}: does the strip hold light, or is the gain another?"
        )
    elif output.noise_e < amp.readnoise_e / _NOISE_RATIO:
        said.append(
            f"{who}: the noise of its overscan is {output.noise_e:.2f} e-, readnoise_e says "
            f"{amp.readnoise_e:g}: is the strip of real pixels, or is the gain another?"
        )
    if obstype in ("flat", "science") and output.level_adu <= output.zero_adu:
        said.append(
            f"{who}: its data ({output.level_adu:.0f} ADU) are not above its overscan "
            f"({output.zero_adu:.0f} ADU) in a {obstype} frame: are the sections exchanged?"
        )
    if output.lowest_adu == output.highest_adu:
        said.append(f"{who} is dead: every pixel is {output.lowest_adu:g}")
    if output.highest_adu < 65535 < output.saturation_adu and output.highest_adu > 65000:
        said.append(f"{who}: saturation_adu = {output.saturation_adu:g} is never reached")
    return said


def _odd_columns(raw: NDArray[Any], amp: Amplifier) -> list[str]:
    """Columns of the overscan far from the others: of the image, or of no real pixels."""
    if amp.overscan is None:
        return []
    profile = np.median(raw[amp.overscan.slices].astype(np.float64), axis=0)
    limit = _ODD_COLUMN * amp.readnoise_e / amp.gain_e_per_adu
    odd = amp.overscan.x0 + 1 + np.flatnonzero(np.abs(profile - np.median(profile)) > limit)
    if not odd.size:
        return []
    named = ", ".join(str(column) for column in odd[:4]) + (" ..." if odd.size > 4 else "")
    return [
        f"amplifier {amp.id}: columns {named} of its overscan {amp.overscan.fits()} are unlike the "
        "others: do they hold light, or nothing?"
    ]


def _compare_wcs(found: Inspection, header: Header, camera: Camera) -> None:
    """Scale and orientation against the header's own, if it has a matrix."""
    try:
        matrix = np.array([[float(header[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    except (KeyError, TypeError, ValueError):
        return
    area = abs(float(np.linalg.det(matrix)))
    if not area > 0:
        return
    scale = 3600 * math.sqrt(area)
    ours = np.array(camera.cd_signs, float)
    found.facts["header_scale_arcsec"] = scale
    found.facts["header_cd_signs"] = np.round(matrix * 3600 / scale, 3).tolist()
    if not 1 / _SCALE_RATIO < scale / camera.pixel_scale_arcsec < _SCALE_RATIO:
        found.doubts.append(
            f"the header's CD matrix has {scale:.4f} arcsec a pixel, pixel_scale_arcsec says "
            f"{camera.pixel_scale_arcsec:g}"
        )
    cosine = float(np.sum(ours * matrix) / math.sqrt(2 * np.sum(matrix**2)))
    if cosine < _DIRECTION:
        found.doubts.append(
            f"the header's CD matrix goes {found.facts['header_cd_signs']}, cd_signs says "
            f"{ours.tolist()}"
        )
