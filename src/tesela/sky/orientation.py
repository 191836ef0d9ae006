"""Guesses to try in turn when the camera's orientation on the sky is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tesela.sky.wcs import Wcs

_OVERLAP = 0.9


def mirrored(guess: Wcs) -> list[Wcs]:
    """The guess seen in a mirror, about either axis of the image's centre."""
    flat = guess.linearised()
    return [replace(flat, cd=flat.cd * np.array(signs)) for signs in ([-1.0, 1.0], [1.0, -1.0])]


def every(guess: Wcs, max_rotation_deg: float) -> list[Wcs]:
    """The guess and its mirror image turned all around, undistorted.

    In steps that windows of `max_rotation_deg` to either side overlap; right angles come first,
    since a camera is most often wrong by one of those.
    """
    flat = guess.linearised()
    n = 4 * int(np.ceil(90.0 / (2.0 * _OVERLAP * max_rotation_deg)))
    turns = np.arange(n) * (360.0 / n)
    turns = turns[np.argsort(turns % 90.0 != 0.0, kind="stable")]
    mirror = mirrored(flat)[0]
    return [_turned(each, turn) for turn in turns for each in (flat, mirror)]


def _turned(guess: Wcs, turn_deg: float) -> Wcs:
    sin, cos = np.sin(np.radians(turn_deg)), np.cos(np.radians(turn_deg))
    return replace(guess, cd=np.array([[cos, sin], [-sin, cos]]) @ guess.cd)
