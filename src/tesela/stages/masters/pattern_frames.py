"""Frames of the sky for a pattern: which are fit, from how many fields, in blocks of pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from tesela.cameras import Camera
from tesela.errors import QualityError
from tesela.pixels import illumination_surface, pattern_bins, pattern_solve
from tesela.products.frame import FrameFacts
from tesela.products.images import Master
from tesela.products.maskbit import UNUSABLE, MaskBit
from tesela.stages.masters.inputs import Detrended, ImageInputs
from tesela.stages.masters.settings import PatternSettings

ROWS = 256
"""In memory at once of a frame that is read."""
LEAST_PART = 0.25
CELLS_ALONG = 3
MOST_OF_ONE_FIELD = 0.5


@dataclass
class Skies:
    """Frames that are fit, without their sky, and why the others are not."""

    planes: list[pattern_solve.SkyPlane] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)

    @property
    def n_fields(self) -> int:
        """Fields of the frames that are fit."""
        return len({plane.field for plane in self.planes})

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Frames by name, with the reason."""
        self.rejected |= reasons
        self.planes = [plane for plane in self.planes if plane.name not in reasons]


def read(inputs: ImageInputs, settings: PatternSettings) -> Skies:
    """Each frame read once, by bands of rows; the sky is taken and what is unfit left out.

    Memory: a float32 value a block of pixels and frame (21 MB for T80Cam's 85 million pixels in
    blocks of 4), and a band of rows.
    """
    skies = Skies()
    dimming = _dimming(inputs.masters.get("ILLUMINATION"), inputs.camera, settings)
    fields = _fields(inputs, settings)
    for image in inputs.images:
        name = image.facts.name
        reason = _unfit_facts(image.facts, settings)
        if not reason:
            values = _blocks(image, settings)
            reason = _unfit_mask(values, settings)
        if not reason:
            plane = pattern_solve.SkyPlane(name, fields[name], values / dimming)
            reason = _unfit_sky(plane, settings)
        if reason:
            skies.rejected[name] = reason
        else:
            skies.planes.append(plane)
    balance(skies)
    return skies


def require_fields(inputs: ImageInputs, skies: Skies, settings: PatternSettings) -> None:
    """Raise `QualityError` where the frames are of too few fields."""
    if skies.n_fields >= settings.min_fields:
        return
    separation = separation_deg(inputs.camera, settings) * 60
    said = ", ".join(f"{name} ({why})" for name, why in skies.rejected.items())
    raise QualityError(
        inputs.key,
        found=f"{len(skies.planes)} usable frames of {skies.n_fields} field"
        + ("s" if skies.n_fields != 1 else "")
        + (f", rejected: {said}" if said else ""),
        expected=f"{settings.min_fields} fields {separation:.0f} arcmin apart: the objects of "
        "fewer would be in the pattern",
        do="add frames of other fields or a longer period (calibration.cadence_days)",
    )


def mesh(shape: tuple[int, ...], settings: PatternSettings) -> int:
    """Side of the cells of the sky in blocks; narrower where there would not be 3 x 3 of them."""
    return max(1, min(settings.sky_mesh_px // settings.bin_px, min(shape) // CELLS_ALONG))


def separation_deg(camera: Camera, settings: PatternSettings) -> float:
    """Distance from which two pointings are two fields."""
    half = 0.5 * min(camera.shape) * camera.pixel_scale_arcsec / 3600
    return settings.field_separation_arcmin / 60 or half


def _fields(inputs: ImageInputs, settings: PatternSettings) -> dict[str, int]:
    """Number of the field of each frame that has a pointing: the first one that is near."""
    limit = math.radians(separation_deg(inputs.camera, settings))
    centres: list[NDArray[np.float64]] = []
    fields = {}
    for image in inputs.images:
        facts = image.facts
        if facts.ra_deg is None or facts.dec_deg is None:
            continue
        ra, dec = math.radians(facts.ra_deg), math.radians(facts.dec_deg)
        here = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
        apart = [2 * math.asin(min(1.0, float(np.linalg.norm(here - c)) / 2)) for c in centres]
        near = [k for k, angle in enumerate(apart) if angle < limit]
        if not near:
            centres.append(here)
        fields[facts.name] = near[0] if near else len(centres) - 1
    return fields


def _dimming(
    master: Master | None, camera: Camera, settings: PatternSettings
) -> NDArray[np.float32] | np.float32:
    """10^(-0.4 f) on blocks, by which images are divided; 1 where there is no illumination."""
    if master is None:
        return np.float32(1.0)
    shape = pattern_bins.coarse_shape(camera.shape, settings.bin_px)
    return illumination_surface.factor(master.arrays["map"], shape)


def _blocks(image: Detrended, settings: PatternSettings) -> NDArray[np.float32]:
    """Means of the free pixels of each block, NaN near objects and where few pixels are free."""
    bin_px, shape = settings.bin_px, image.image.shape
    rows = max(1, ROWS // bin_px) * bin_px
    values, objects = [], []
    for y0 in range(0, shape[0], rows):
        mask = np.asarray(image.mask[y0 : y0 + rows])
        pixels = np.asarray(image.image[y0 : y0 + rows], np.float32)
        free = (mask & np.uint8(UNUSABLE | MaskBit.OBJECT)) == 0
        values.append(pattern_bins.shrink(pixels, free, bin_px, least_part=LEAST_PART))
        inside = (mask & np.uint8(MaskBit.OBJECT)) > 0
        objects.append(_any_in_blocks(inside, bin_px))
    found = np.concatenate(values)
    grow = round(settings.object_grow_px / bin_px)
    if grow:
        found[maximum_filter(np.concatenate(objects), 2 * grow + 1)] = np.nan
    return found


def _any_in_blocks(inside: NDArray[np.bool_], bin_px: int) -> NDArray[np.bool_]:
    rows = np.logical_or.reduceat(inside, np.arange(0, inside.shape[0], bin_px), axis=0)
    return np.logical_or.reduceat(rows, np.arange(0, inside.shape[1], bin_px), axis=1)


def _unfit_facts(facts: FrameFacts, settings: PatternSettings) -> str:
    if facts.ra_deg is None or facts.dec_deg is None:
        return "no pointing: its field is not known"
    if facts.exptime_s < settings.min_exptime_s:
        return f"exposure of {facts.exptime_s:g} s, under {settings.min_exptime_s:g} s"
    return ""


def _unfit_mask(values: NDArray[np.float32], settings: PatternSettings) -> str:
    free = float(np.mean(np.isfinite(values)))
    if free < settings.min_free:
        return f"{free:.0%} of the CCD free of objects and defects, {settings.min_free:.0%} needed"
    return ""


def _unfit_sky(plane: pattern_solve.SkyPlane, settings: PatternSettings) -> str:
    """Takes the sky from the plane."""
    low, high = settings.sky_e
    try:
        pattern_solve.take_sky(plane, mesh(plane.image.shape, settings))
    except QualityError as error:
        return error.found
    if not low <= plane.level <= high:
        return f"sky of {plane.level:.0f} electrons, outside {low:.0f} to {high:.0f}"
    if plane.gradient > settings.max_gradient:
        return f"sky varies by {plane.gradient:.0%}, over {settings.max_gradient:.0%}: the moon?"
    return ""


def balance(skies: Skies) -> None:
    """No field has more than half of the frames: it could not be outvoted."""
    counts = Counter(plane.field for plane in skies.planes)
    if len(counts) < 2:
        return
    largest, n = counts.most_common(1)[0]
    most = round((len(skies.planes) - n) * MOST_OF_ONE_FIELD / (1 - MOST_OF_ONE_FIELD))
    of_it = [plane for plane in skies.planes if plane.field == largest]
    reason = (
        f"one of {n} frames of its field, {len(skies.planes) - n} are of others: "
        "no field may have more than half"
    )
    skies.leave_out({plane.name: reason for plane in of_it[most:]})
