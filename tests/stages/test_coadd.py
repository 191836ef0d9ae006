"""Coadds of drawn frames: flux is kept, scales are found, accidents go and stars stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.products.images import ReducedImage, card_dict
from tesela.products.maskbit import MaskBit
from tesela.sky.wcs import Wcs
from tesela.stages import coadd
from tesela.stages.coadd import CoaddInput, ratios, scales

from . import drawn
from .drawn import Exposure, reduced

ARCSEC = 1 / 3600
TILE = drawn.wcs(size=drawn.SIZE + 40)
DITHERS = ((0.0, 0.0), (3.1, -2.3), (-2.7, 4.4))


def exposure(n: int, **changes: object) -> Exposure:
    """One of three dithered exposures."""
    ra, dec = DITHERS[n]
    pointing = (
        drawn.POINTING[0] + ra * ARCSEC / np.cos(np.radians(drawn.POINTING[1])),
        drawn.POINTING[1] + dec * ARCSEC,
    )
    return Exposure(f"frame{n}", 40 + n, pointing, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def frames() -> list[CoaddInput]:
    """Three frames of one seeing."""
    return [CoaddInput(f"frame{n}", reduced(exposure(n)).image) for n in range(3)]


def add(frames: Sequence[CoaddInput], tile: Wcs = TILE) -> coadd.CoaddOutputs:
    return coadd.coadd(coadd.CoaddInputs("T-1", "r", tile, frames), coadd.CoaddSettings())


@pytest.fixture(scope="module")
def plain(frames: list[CoaddInput]) -> coadd.CoaddOutputs:
    return add(frames)


def zero_points(made: coadd.CoaddOutputs) -> dict[str, float]:
    cards = card_dict(made.coadd.cards)
    return {
        cards[f"TSL IN{n} NAME"]: cards[f"TSL IN{n} ZP"] for n in range(1, cards["NCOMBINE"] + 1)
    }


def fluxes(made: coadd.CoaddOutputs, radius_px: float = 9.0) -> np.ndarray:
    """Aperture flux over true flux of the brighter stars, e-/s on the coadd's own zero point."""
    stars = drawn.stars()
    bright = (stars.mag < 15.5) & (stars.mag > 14.0)
    x, y = TILE.sky_to_pix(stars.ra[bright], stars.dec[bright])
    zero = card_dict(made.coadd.cards)["MAGZP"]
    gy, gx = np.mgrid[0 : TILE.shape[0], 0 : TILE.shape[1]]
    sums = [
        made.coadd.image[(gx - sx) ** 2 + (gy - sy) ** 2 < radius_px**2].sum()
        for sx, sy in zip(x, y)
    ]
    return np.array(sums) / 10 ** (-0.4 * (stars.mag[bright] - zero))


def within(radius_px: float, fwhm_px: float, beta: float = 3.0) -> float:
    """Share of a Moffat's flux (that within 15 arcsec) inside a circle."""
    alpha2 = (fwhm_px / 2) ** 2 / (2 ** (1 / beta) - 1)

    def share(r: float) -> float:
        return 1 - (1 + r**2 / alpha2) ** (1 - beta)

    return share(radius_px) / share(15 / drawn.SCALE_ARCSEC)


def test_flux_is_conserved(plain: coadd.CoaddOutputs) -> None:
    ratio = fluxes(plain) / within(9.0, 3.0)
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert card_dict(plain.coadd.cards)["MAGZP"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.01)


def test_noise_falls_with_the_number_of_frames(
    plain: coadd.CoaddOutputs, frames: list[CoaddInput]
) -> None:
    three = plain.coadd.weight[plain.coadd.count == 3]
    single = np.median(frames[0].image.variance[frames[0].image.mask == 0]) / drawn.EXPTIME_S**2
    assert np.median(three) == pytest.approx(3 / single, rel=0.05)


def test_nothing_is_where_nothing_was_observed(plain: coadd.CoaddOutputs) -> None:
    made = plain.coadd
    empty = made.count == 0
    assert 0 < empty.mean() < 0.3
    assert empty[0, 0]
    for plane in (made.weight, made.image):
        assert (plane[empty] == 0).all()
    assert (made.mask[empty] & MaskBit.BAD).all()
    assert (made.weight[~empty] > 0).all()
    assert np.isfinite(made.image).all()
    assert np.isfinite(made.variance).all()


def dimmed(frame: CoaddInput, factor: float) -> CoaddInput:
    """The frame through a cloud that its own zero point does not know."""
    image = frame.image
    table = {k: v * np.float32(factor) if k.startswith("flux_") and k != "flux_radius" else v
             for k, v in image.sources.items()}  # fmt: skip
    return CoaddInput(
        frame.name,
        replace(
            image,
            image=image.image * np.float32(factor),
            sky_mesh=np.stack([image.sky_mesh[0], image.sky_mesh[1] * np.float32(factor**2)]),
            variance=image.variance * np.float32(factor**2),
            sources=table,
        ),
    )


def test_relative_scales_come_from_the_common_stars(
    plain: coadd.CoaddOutputs, frames: list[CoaddInput]
) -> None:
    clouded = add([frames[0], dimmed(frames[1], 0.9), frames[2]])
    before, after = zero_points(plain), zero_points(clouded)
    for other in ("frame0", "frame2"):
        change = (after["frame1"] - after[other]) - (before["frame1"] - before[other])
        assert change == pytest.approx(2.5 * np.log10(0.9), abs=0.003)
    assert clouded.metrics["scale_residual_mag"] < 0.003


def test_an_accident_in_one_of_three_frames_vanishes(
    plain: coadd.CoaddOutputs, frames: list[CoaddInput]
) -> None:
    stars = drawn.stars()
    sx, sy = frames[1].wcs.sky_to_pix(stars.ra, stars.dec)
    gy, gx = np.mgrid[20:300:5, 20:300:5]
    lonely = np.argmax(np.min(np.hypot(gx.ravel()[:, None] - sx, gy.ravel()[:, None] - sy), axis=1))
    x, y = gx.ravel()[lonely], gy.ravel()[lonely]
    struck = frames[1].image.image.copy()
    struck[y - 3 : y + 4, x - 3 : x + 4] += 900.0
    hit = CoaddInput("frame1", replace(frames[1].image, image=struck))
    made = add([frames[0], hit, frames[2]])
    tx, ty = (int(np.rint(v)) for v in TILE.sky_to_pix(*frames[1].wcs.pix_to_sky(x, y)))
    region = slice(ty - 2, ty + 3), slice(tx - 2, tx + 3)
    noise = 1 / np.sqrt(made.coadd.weight[region])
    # Unrejected it would stand at 5 electrons a second: more than thirty sigma.
    assert (np.abs(made.coadd.image - plain.coadd.image)[region] < 5 * noise).all()
    assert (made.coadd.count[region] == 2).all()
    assert (plain.coadd.count[region] == 3).all()


SEEING_PX = tuple(arcsec / drawn.SCALE_ARCSEC for arcsec in (0.8, 1.4, 2.0))


@pytest.fixture(scope="module")
def of_any_seeing() -> tuple[list[CoaddInput], coadd.CoaddOutputs]:
    """0.8, 1.4 and 2.0 arcsec: the sharp frame peaks far above the median and is right."""
    inputs = [
        CoaddInput(f"frame{n}", reduced(exposure(n, fwhm_px=fwhm)).image)
        for n, fwhm in enumerate(SEEING_PX)
    ]
    return inputs, add(inputs)


def at_bright_stars(grid: Wcs, plane: np.ndarray) -> np.ndarray:
    """Values of a plane in the cores of the brighter stars."""
    stars = drawn.stars()
    bright = stars.mag < 15.5
    x, y = (np.rint(v).astype(int) for v in grid.sky_to_pix(stars.ra[bright], stars.dec[bright]))
    return plane[y, x]


def test_flux_is_conserved_when_the_seeing_differs(
    of_any_seeing: tuple[list[CoaddInput], coadd.CoaddOutputs],
) -> None:
    inputs, made = of_any_seeing
    weights = [1 / np.median(f.image.variance[f.image.mask == 0]) for f in inputs]
    expected = np.average([within(9.0, fwhm) for fwhm in SEEING_PX], weights=weights)
    assert np.median(fluxes(made) / expected) == pytest.approx(1, abs=0.015)


def test_cores_of_stars_survive_the_rejection_when_the_seeing_differs(
    of_any_seeing: tuple[list[CoaddInput], coadd.CoaddOutputs],
) -> None:
    inputs, made = of_any_seeing
    # What a frame's own mask took out before is not the coadd's doing.
    lost = np.max(
        [at_bright_stars(f.wcs, (f.image.mask & MaskBit.COSMIC_RAY) > 0) for f in inputs], axis=0
    )
    count = at_bright_stars(TILE, made.coadd.count)
    assert np.mean(count[~lost] == 3) > 0.95


def test_no_core_of_a_sharp_star_is_a_cosmic_ray(
    of_any_seeing: tuple[list[CoaddInput], coadd.CoaddOutputs],
) -> None:
    sharp = of_any_seeing[0][0]
    codes = at_bright_stars(sharp.wcs, sharp.image.mask)
    assert np.mean((codes & MaskBit.COSMIC_RAY) > 0) < 0.02


def test_a_saturated_core_is_flagged_not_punched_out() -> None:
    def star(image: np.ndarray) -> None:
        drawn.moffat(image, np.array([160.0]), np.array([160.0]), np.array([3e6]), 3.0)

    still = Exposure(spoil=star)
    made = add([CoaddInput(str(n), reduced(replace(still, seed=n)).image) for n in range(3)])
    x, y = (
        int(np.rint(v)) for v in TILE.sky_to_pix(*drawn.wcs().pix_to_sky(np.float64(160), 160.0))
    )
    assert made.coadd.mask[y, x] & MaskBit.SATURATED
    assert made.coadd.weight[y, x] > 0
    assert made.coadd.image[y, x] > 500
    share = np.mean((made.coadd.mask & MaskBit.SATURATED) > 0)
    assert 0 < share < 0.01


def test_order_of_the_frames_does_not_matter(
    plain: coadd.CoaddOutputs, frames: list[CoaddInput]
) -> None:
    assert add(frames[::-1]).coadd.data_hash() == plain.coadd.data_hash()


def test_one_frame_is_a_coadd_too(frames: list[CoaddInput]) -> None:
    made = add(frames[:1])
    assert set(np.unique(made.coadd.count)) == {0, 1}
    assert np.median(fluxes(made) / within(9.0, 3.0)) == pytest.approx(1, abs=0.01)


def test_frames_that_miss_the_tile_are_a_reason(frames: list[CoaddInput]) -> None:
    with pytest.raises(QualityError, match="T-1 r: no pixel with data; expected some overlap"):
        add(frames, drawn.wcs(dec_deg=54.0))


def test_a_frame_without_common_stars_keeps_its_zero_point_and_warns(
    frames: list[CoaddInput],
) -> None:
    lost = frames[1].image
    few = {k: v[:0] for k, v in lost.sources.items()}
    image: ReducedImage = replace(lost, sources=few)
    made = add([frames[0], CoaddInput("frame1", image), frames[2]])
    assert made.warnings == [
        "frame1 shares fewer than 5 stars with the others: own zero point kept"
    ]


def with_zero_point(frame: CoaddInput, mag: float, error_mag: float) -> CoaddInput:
    """A frame that states another zero point."""
    cards = [
        (k, {"MAGZP": mag, "MAGZPERR": error_mag}.get(k, v), c) for k, v, c in frame.image.cards
    ]
    return CoaddInput(frame.name, replace(frame.image, cards=cards))


def without_stars(frame: CoaddInput) -> CoaddInput:
    """A frame whose star list is empty: it shares no star with any other."""
    empty = {name: values[:0] for name, values in frame.image.sources.items()}
    return CoaddInput(frame.name, replace(frame.image, sources=empty))


def test_a_frame_without_common_stars_keeps_its_zero_point_and_pulls_no_other(
    frames: list[CoaddInput],
) -> None:
    given = [
        with_zero_point(frames[0], 22.00, 0.003),
        with_zero_point(frames[1], 22.10, 0.05),
        with_zero_point(without_stars(frames[2]), 21.50, 0.003),
    ]
    zeros, _, warnings = scales.zero_points(given, coadd.CoaddSettings())
    assert zeros[2] == 21.50
    assert zeros[0] == pytest.approx(22.00, abs=0.01)
    assert zeros[1] == pytest.approx(zeros[0], abs=0.01)
    assert [w.split()[0] for w in warnings] == ["frame2"]


@pytest.mark.parametrize("shift", [0.75, 0.8])
def test_a_tile_mostly_without_data_is_made(frames: list[CoaddInput], shift: float) -> None:
    size = TILE.shape[0]
    ra, dec = TILE.pix_to_sky(size * (0.5 + shift), size / 2)
    edge = drawn.wcs(float(ra), float(dec), size=size)
    made = add(frames, edge)
    assert 0 < made.metrics["coverage"] < 0.3
    assert abs(made.metrics["background"]) < 0.05


def test_the_same_psf_allows_no_difference_whatever_the_camera_s_angle(
    frames: list[CoaddInput],
) -> None:
    turned = CoaddInput("turned", frames[0].image)
    centre = np.array(turned.wcs.shape[::-1]) / 2 - 0.5
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned.wcs = replace(
        turned.wcs,
        cd=turned.wcs.cd @ quarter,
        crpix=centre + quarter.T @ (turned.wcs.crpix - centre),
    )
    same = ratios.psf_ratios([frames[0], frames[0]], TILE)
    rotated = ratios.psf_ratios([frames[0], turned], TILE)
    assert same.max() < 1e-3
    assert rotated.max() < 0.4
