"""A wrong WCS or zero point that slipped in is caught by the other frames of the coadd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tesela.products.images import card_dict
from tesela.stages.coadd import CoaddInput

from . import drawn
from .test_coadd import add, frames, plain, zero_points

__all__ = ["frames", "plain"]


def shifted(frame: CoaddInput, px: float) -> CoaddInput:
    """The frame with a WCS, and so a star list, that lies beside the truth."""
    step = px * drawn.SCALE_ARCSEC / 3600
    cards = [(k, v + step if k == "CRVAL2" else v, c) for k, v, c in frame.image.cards]
    sources = {**frame.image.sources, "dec": frame.image.sources["dec"] + step}
    return CoaddInput(frame.name, replace(frame.image, cards=cards, sources=sources))


def dimmer(frame: CoaddInput, mag: float) -> CoaddInput:
    """The frame with a wrong zero point."""
    cards = [(k, v + mag if k == "MAGZP" else v, c) for k, v, c in frame.image.cards]
    return CoaddInput(frame.name, replace(frame.image, cards=cards))


@pytest.mark.parametrize("px", [0.5, -3.0])
def test_a_frame_with_a_spoiled_wcs_is_left_out_and_named(
    frames: list[CoaddInput], px: float
) -> None:
    made = add([frames[0], shifted(frames[1], px), frames[2]])
    assert made.coadd.data_hash() == add([frames[0], frames[2]]).coadd.data_hash()
    assert any(said.startswith("frame1 left out: its stars lie") for said in made.warnings)


def test_of_two_that_disagree_both_are_kept_and_it_is_said(frames: list[CoaddInput]) -> None:
    made = add([frames[0], shifted(frames[1], 0.5)])
    assert card_dict(made.coadd.cards)["NCOMBINE"] == 2
    assert any("no majority says which is right" in said for said in made.warnings)


def test_frames_that_agree_are_all_used(frames: list[CoaddInput]) -> None:
    made = add([frames[0], shifted(frames[1], 0.05), frames[2]])
    assert card_dict(made.coadd.cards)["NCOMBINE"] == 3
    assert made.warnings == []


def test_a_wrong_zero_point_moves_nothing_and_is_named(frames: list[CoaddInput]) -> None:
    before = zero_points(add(frames))
    made = add([frames[0], dimmer(frames[1], 0.1), frames[2]])
    after = zero_points(made)
    for name, zero in before.items():
        assert after[name] == pytest.approx(zero, abs=0.004)
    (said,) = made.warnings
    assert said.startswith("frame1: its zero point is +0.1")
    assert np.isclose(card_dict(made.coadd.cards)["MAGZP"], drawn.ZEROPOINT_MAG, atol=0.01)
