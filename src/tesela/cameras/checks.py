"""What a description of a camera must agree on with itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tesela.cameras.amplifiers import Amplifier, Section
from tesela.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from tesela.cameras.camera import Camera

Refusal = type[ConfigError] | type[BadInput]
OBSTYPES = {"bias", "dark", "flat", "science"}
STRIPS = ("overscan", "prescan", "parallel")
"""Sections that hold no image."""
RA_UNITS = {
    "deg": {"of_number": 1, "sexagesimal": 15},
    "hours": {"of_number": 15, "sexagesimal": 15},
    "dms": {"of_number": 1, "sexagesimal": 1},
}
"""Degrees in a unit of a right ascension that is a number, or sexagesimal text."""
_LEAST_AREA = 0.1


def check(camera: Camera, where: str, error: Refusal) -> None:
    """Refuse geometry that does not tile the image exactly or leaves the raw frame.

    `error` is a `ConfigError` for a description, a `BadInput` for the cards of a frame.
    """
    _check_orientation(camera, where, error)
    _check_images(camera, where, error)
    _check_words(camera, where, error)
    do = (
        "compare the cards with the camera's description"
        if error is BadInput
        else "correct [[amplifiers]] of the camera's description"
    )
    for amp in camera.amplifiers:
        _check_sections(camera, amp, where, error, do)
        _check_numbers(amp, where, error)
    _check_overlaps(camera, where, error, do)
    _check_cover(camera, where, error, do)


def sections_of(amp: Amplifier) -> Iterator[tuple[str, Section]]:
    """Those of the raw frame that an amplifier has, by name."""
    for name in ("data", *STRIPS):
        section = getattr(amp, name)
        if section is not None:
            yield name, section


def _check_orientation(camera: Camera, where: str, error: Refusal) -> None:
    if abs(np.linalg.det(np.array(camera.cd_signs))) < _LEAST_AREA:
        raise error(
            where,
            found=f"cd_signs = {[list(row) for row in camera.cd_signs]}",
            expected="two directions on the sky, such as [[-1, 0], [0, 1]]",
            do="correct the camera's description",
        )
    if not camera.pixel_scale_arcsec > 0:
        raise error(
            where,
            found=f"pixel_scale_arcsec = {camera.pixel_scale_arcsec}",
            expected="arcseconds, more than 0",
            do="correct the camera's description",
        )


def _check_images(camera: Camera, where: str, error: Refusal) -> None:
    if camera.images < 1 or camera.raw_nx % camera.images:
        raise error(
            where,
            found=f"images = {camera.images}, raw_nx = {camera.raw_nx}",
            expected="as many images side by side as fill raw_nx",
            do="correct the camera's description",
        )


def _check_words(camera: Camera, where: str, error: Refusal) -> None:
    unknown = {kind.obstype for kind in camera.imagetypes.values()} - OBSTYPES
    if unknown:
        raise error(
            where,
            found=f"obstype {', '.join(sorted(unknown))}",
            expected=f"one of {', '.join(sorted(OBSTYPES))}",
            do="correct [imagetypes] of the camera's description",
        )
    if camera.ra_unit not in RA_UNITS:
        raise error(
            where,
            found=f"ra_unit = {camera.ra_unit!r}",
            expected="deg or hours, or dms",
            do="correct the camera's description",
        )
    if camera.equinox in ("ICRS", "date"):
        return
    try:
        float(camera.equinox)
    except ValueError:
        raise error(
            where,
            found=f"equinox = {camera.equinox!r}",
            expected='"ICRS", "date" or a year such as "2000"',
            do="correct the camera's description",
        ) from None


def _check_sections(camera: Camera, amp: Amplifier, where: str, error: Refusal, do: str) -> None:
    for name, section in sections_of(amp):
        if section.x1 > camera.raw_nx or section.y1 > camera.raw_ny:
            raise error(
                where,
                found=f"amplifier {amp.id} {name} {section.fits()}",
                expected=f"a section of a {camera.raw_nx}x{camera.raw_ny} frame",
                do=do,
            )
    if amp.dest.x1 > camera.nx or amp.dest.y1 > camera.ny:
        raise error(
            where,
            found=f"amplifier {amp.id} dest {amp.dest.fits()}",
            expected=f"a section of the {camera.nx}x{camera.ny} image",
            do=do,
        )
    if amp.data.shape != amp.dest.shape:
        raise error(
            where,
            found=f"amplifier {amp.id}: {amp.data.fits()} goes to {amp.dest.fits()}",
            expected="sections of one size",
            do=do,
        )
    if amp.overscan and (amp.overscan.y0, amp.overscan.y1) != (amp.data.y0, amp.data.y1):
        raise error(
            where,
            found=f"amplifier {amp.id} overscan {amp.overscan.fits()}",
            expected=f"the rows of its data {amp.data.fits()}; one above or below the data is "
            "called parallel",
            do=do,
        )


def _check_numbers(amp: Amplifier, where: str, error: Refusal) -> None:
    numbers = {
        "gain": amp.gain_e_per_adu,
        "read noise": amp.readnoise_e,
        "saturation": amp.saturation_adu,
    }
    if not all(number > 0 for number in numbers.values()):
        raise error(
            where,
            found=f"amplifier {amp.id}: "
            + ", ".join(f"{name} {number}" for name, number in numbers.items()),
            expected="positive numbers",
            do="correct the cards GAIN, RON and SATUR"
            if error is BadInput
            else "correct the camera's description",
        )


def _check_overlaps(camera: Camera, where: str, error: Refusal, do: str) -> None:
    """No pixel is light and overscan at once, nor the light of two amplifiers."""
    named = [(amp.id, *item) for amp in camera.amplifiers for item in sections_of(amp)]
    for (a, first, one), (b, second, other) in combinations(named, 2):
        if "data" in (first, second) and one.overlaps(other):
            raise error(
                where,
                found=f"amplifier {a} {first} {one.fits()} overlaps amplifier {b} {second} "
                f"{other.fits()}",
                expected="pixels that hold an image in one data section and no other",
                do=do,
            )


def _check_cover(camera: Camera, where: str, error: Refusal, do: str) -> None:
    covered = np.zeros(camera.shape, dtype=np.uint8)
    for amp in camera.amplifiers:
        covered[amp.dest.slices] += 1
    if not np.all(covered == 1):
        raise error(
            where,
            found=f"amplifiers fill {np.count_nonzero(covered == 1)} of {covered.size} pixels",
            expected="each pixel of the image filled once",
            do=do,
        )
