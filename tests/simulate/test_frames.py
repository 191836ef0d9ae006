"""Laws that a simulated frame must keep, measured without any code of the stages."""

import numpy as np

from tesela.simulate import detector

from .images import aperture


def star_ratios(tiny_night, i):
    """Measured over true flux of the isolated, unspoilt stars of a frame."""
    unit = detector.build(tiny_night.settings)
    truth = tiny_night.truth(i)
    response = detector.response(tiny_night.settings, "rSDSS")
    image = tiny_night.electrons("science", i) / response
    bad = truth.mask("cosmic") | truth.mask("saturated") | truth.mask("trail")
    bad |= response < 0.8
    bad[unit.hot_y, unit.hot_x] = True
    for column in unit.bad_columns:
        bad[column.y0 : column.y1, column.x] = True
    for x, y, flux in zip(truth.x, truth.y, truth.flux_e):
        if not (30 < x < 1120 and 30 < y < 1120) or flux < 1e4:
            continue
        near = np.hypot(truth.x - x, truth.y - y) < 25
        box = bad[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13]
        if not box.any() and truth.flux_e[near].sum() < 1.01 * flux:
            yield aperture(image, x, y, 12.0) / flux


def test_stars_have_the_flux_of_the_true_zero_point(tiny_night):
    ratios = [*star_ratios(tiny_night, 0), *star_ratios(tiny_night, 1)]
    # Within 12 px (6.6 arcsec) lies all but the aureole and a little of the core's wings.
    missing = tiny_night.truth().aureole * 0.95 + 0.004
    assert len(ratios) >= 8
    assert abs(np.median(ratios) / (1 - missing) - 1) < 0.01


def test_the_zero_point_within_15_arcsec_leaves_out_part_of_the_aureole(tiny_night):
    truth = tiny_night.truth()
    lost = 1 - 10 ** (0.4 * (truth.zeropoint15_mag - truth.zeropoint_mag))
    assert 0.01 < lost < 0.03
    assert abs(lost - 0.786 * truth.aureole) < 0.05 * truth.aureole


def test_bias_has_the_stated_read_noise(tiny_night):
    unit = detector.build(tiny_night.settings)
    difference = tiny_night.raw("bias", 0) - tiny_night.raw("bias", 1)
    for k, amp in enumerate(unit.camera.amplifiers):
        part = difference[amp.data.slices]
        part = part - np.median(part, axis=1)[:, None]
        # Rounding to whole ADU adds a twelfth of a squared ADU to each frame.
        sigma = np.sqrt(np.var(part[np.abs(part) < 25]) / 2 - 1 / 12)
        assert abs(sigma * unit.gain[k] / unit.readnoise_e[k] - 1) < 0.02
        assert 950 < np.median(tiny_night.raw("bias")[amp.overscan.slices]) < 1450


def test_flats_keep_the_photon_transfer(tiny_night):
    unit = detector.build(tiny_night.settings)
    one, two = (tiny_night.electrons("flat", i) for i in (0, 1))
    for amp in unit.camera.amplifiers[::5]:
        a, b = one[amp.dest.slices], two[amp.dest.slices]
        scale = np.median(a) / np.median(b)
        ratio = a / (b * scale)
        sigma = 1.4826 * np.median(np.abs(ratio - np.median(ratio)))
        # The ratio of the two has the noise of both: 1/N_a + 1/N_b.
        expected = np.sqrt(1 / np.median(a) + 1 / np.median(b))
        assert abs(sigma / expected - 1) < 0.04


def test_a_flat_shows_response_stray_light_and_the_areas_of_pixels(tiny_night):
    image = tiny_night.electrons("flat")
    night = tiny_night.settings
    expected = detector.response(night, "rSDSS") * detector.stray_light(night, "rSDSS")
    ratio = image / (expected * detector.pixel_area(night))
    blocks = ratio[: 32 * 36, : 32 * 36].reshape(36, 32, 36, 32)
    levels = np.median(blocks, axis=(1, 3))
    assert np.std(levels / np.median(levels)) < 0.004


def test_sky_level_and_trail_are_those_of_the_truth(tiny_night):
    truth = tiny_night.truth()
    image = tiny_night.electrons("science")
    image /= detector.response(tiny_night.settings, "rSDSS")
    middle = image[500:650, 500:650][~truth.mask("trail")[500:650, 500:650]]
    assert abs(np.median(middle) / truth.sky_e - 1) < 0.05
    trail = truth.mask("trail")
    assert trail.sum() > 500
    excess = np.median(image[trail]) - np.median(image[~trail])
    assert excess > 0.2 * truth.trail[5]


def test_cosmic_rays_are_where_the_truth_says(tiny_night):
    truth = tiny_night.truth()
    image = tiny_night.electrons("science")
    strong = truth.cosmic_index[truth.cosmic_e > 1000]
    free = ~truth.mask("saturated").ravel()[strong]
    sky = np.median(image)
    assert free.sum() > 5
    assert np.all(image.ravel()[strong[free]] > sky + 800)
    assert truth.mask("cosmic").sum() == truth.cosmic_index.size


def test_positions_follow_the_true_astrometry(tiny_night):
    import pyarrow.parquet as pq

    truth = tiny_night.truth()
    objects = pq.read_table(tiny_night.folder / "truth/objects.parquet")
    ra, dec = objects["ra"].to_numpy()[truth.id], objects["dec"].to_numpy()[truth.id]
    x, y = truth.astrometry.to_pixel(ra, dec)
    # Only proper motions over a year and a half lie between the two.
    assert np.median(np.hypot(x - truth.x, y - truth.y)) < 0.02
    assert np.hypot(x - truth.x, y - truth.y).max() < 3.0
