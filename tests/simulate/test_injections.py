"""Injected stars are all that differs between two nights."""

from dataclasses import replace

import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.simulate import detector, night, settings
from tesela.simulate.truth import read_frame

WITHOUT = settings.tiny(
    n_bias=1, n_flat=1, tiles=2, crosstalk_max=0.0, stars_per_field=30.0, galaxies_per_field=10.0
)
WITH = replace(WITHOUT, injected_stars=40, injected_mag=(18.5, 21.0))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folders = tmp_path_factory.mktemp("without"), tmp_path_factory.mktemp("with")
    return folders, [night.make(f, wanted) for f, wanted in zip(folders, (WITHOUT, WITH))]


def test_other_frames_and_the_catalogue_are_the_same_to_the_byte(both):
    folders, (before, after) = both
    for one, two in zip(before, after):
        if not one.name.startswith("m80-20170703T213000"):  # the frame of the first tile
            assert one.read_bytes() == two.read_bytes()
    for name in ("refcat.parquet", "truth/objects.parquet", "truth/reference.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert not (folders[0] / "truth/injected.parquet").exists()


def test_the_difference_is_only_the_stars(both):
    folders, (before, after) = both
    i = next(k for k, path in enumerate(before) if "T213000" in path.name)
    unit = detector.build(WITH)
    amp = unit.camera.amplifiers
    raw = fitsio.read(str(after[i])).astype(float) - fitsio.read(str(before[i]))
    difference = np.zeros(unit.camera.shape)
    for k, a in enumerate(amp):
        difference[a.dest.slices] = raw[a.data.slices] * unit.gain[k]
    difference /= detector.response(WITH, "rSDSS")
    truth = read_frame(folders[1] / "truth" / f"{after[i].stem}.npz")
    stars = pq.read_table(folders[1] / "truth/injected.parquet")
    x, y = truth.astrometry.to_pixel(stars["ra"].to_numpy(), stars["dec"].to_numpy())
    flux = 10 ** (0.4 * (truth.zeropoint_mag - stars["mag"].to_numpy())) * truth.exptime_s
    ys, xs = np.ogrid[: difference.shape[0], : difference.shape[1]]
    touched = np.zeros(difference.shape, bool)
    found = []
    for xi, yi, expected in zip(x, y, flux):
        near = np.hypot(xs - xi, ys - yi) < 25
        touched |= near
        if 25 < xi < 1126 and 25 < yi < 1128:
            found.append(difference[near].sum() / (expected * (1 - truth.aureole)))
    assert not difference[~touched].any()
    assert len(found) > 30
    assert np.median(found) == pytest.approx(1.0, abs=0.02)


def test_injected_stars_are_in_no_other_truth(both):
    folders, (before, after) = both
    i = next(k for k, path in enumerate(before) if "T213000" in path.name)
    one, two = (
        read_frame(f / "truth" / f"{p[i].stem}.npz") for f, p in zip(folders, (before, after))
    )
    for name in ("id", "x", "y", "flux_e", "cosmic_index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_they_lie_apart_on_the_tile_at_the_stated_magnitudes(both):
    stars = pq.read_table(both[0][1] / "truth/injected.parquet")
    assert set(stars["tile"].to_pylist()) == {"SIM-00001"}
    mag = stars["mag"].to_numpy()
    assert 18.5 <= mag.min() < 19.0
    assert 20.5 < mag.max() <= 21.0
    _, ra, dec = settings.tile_centres(WITH)[0]
    east = (stars["ra"].to_numpy() - ra) * np.cos(np.radians(dec)) * 3600
    north = (stars["dec"].to_numpy() - dec) * 3600
    assert max(np.abs(east).max(), np.abs(north).max()) < 0.5 * settings.tile_size_arcsec(WITH)
    gaps = np.hypot(east[:, None] - east, north[:, None] - north)[~np.eye(40, dtype=bool)]
    assert gaps.min() > 10.0
