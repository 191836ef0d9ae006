"""A reference catalogue that is wrong as real ones are; the truth of each fault is stated."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.bands import filters
from tesela.simulate import refcat_faults, reference, settings, universe
from tesela.simulate.settings import REAL_REFERENCE, ReferenceFaults
from tesela.simulate.streams import stream

SOUND = settings.tiny(stars_per_field=1500.0, galaxies_per_field=100.0)


@pytest.fixture(scope="module")
def sky():
    return universe.make(SOUND)


@pytest.fixture
def write(sky, tmp_path):
    def made(faults):
        path = tmp_path / "refcat.parquet"
        stated = reference.write(path, replace(SOUND, reference=faults), sky)
        return pq.read_table(path), stated

    return made


def test_a_catalogue_without_faults_states_none(write):
    _, stated = write(ReferenceFaults())
    assert stated["systematic_mag"] == {}
    for name in ("blended_rows", "mismatched_rows", "motionless_rows"):
        assert stated[name] == []


def test_systematic_errors_are_those_stated(write):
    sound, _ = write(ReferenceFaults())
    wrong, stated = write(replace(REAL_REFERENCE, blend_arcsec=0.0, mismatched=0.0))
    for band in filters.names():
        added = wrong[f"mag_{band}"].to_numpy() - sound[f"mag_{band}"].to_numpy()
        np.testing.assert_allclose(added, stated["systematic_mag"][band], atol=1e-6)


def test_bright_stars_are_off_by_the_trend_and_faint_ones_not(write):
    sound, _ = write(ReferenceFaults())
    wrong, _ = write(ReferenceFaults(bright_trend_mag=0.010))
    r = sound["mag_rSDSS"].to_numpy()
    added = wrong["mag_gSDSS"].to_numpy() - sound["mag_gSDSS"].to_numpy()
    assert not added[r > 13.0].any()
    assert (added[r < 12.9] > 0).all()
    assert 0.003 < added.max() <= 0.0101


def test_the_wave_is_one_over_a_degree_and_of_the_stated_size():
    ra = np.linspace(0.0, 60.0, 3000)
    errors = np.array([refcat_faults.wave(stream(s, "w"), ra, 0 * ra) for s in range(30)])
    assert np.std(errors) == pytest.approx(1.0, abs=0.1)
    step = ra[1] - ra[0]

    def correlation(apart_deg):
        n = round(apart_deg / step)
        return np.mean(errors[:, n:] * errors[:, :-n])

    assert correlation(0.2) > 0.85
    assert 0.4 < correlation(0.6) < 0.7
    assert abs(correlation(3.0)) < 0.1


def test_u_is_four_times_worse(write):
    sizes = {}
    for band in ("uJAVA", "rSDSS"):
        values = []
        for seed in range(12):
            table = {"ra": np.array([200.0]), "dec": np.array([10.0])}
            table |= {f"mag_{b}": np.array([16.0]) for b in filters.names()}
            table |= {f"mag_err_{b}": np.array([0.01]) for b in filters.names()}
            table |= {"pmra": np.ones(1), "pmdec": np.ones(1)}
            wanted = replace(SOUND, seed=seed, reference=ReferenceFaults(wave_mag=0.005))
            refcat_faults.spoil(wanted, table)
            values.append(table[f"mag_{band}"][0] - 16.0)
        sizes[band] = np.sqrt(np.mean(np.square(values)))
    assert sizes["rSDSS"] == pytest.approx(0.005, rel=0.5)
    assert sizes["uJAVA"] == pytest.approx(0.020, rel=0.5)


def test_mismatched_entries_have_the_light_of_another(write):
    sound, _ = write(ReferenceFaults())
    wrong, stated = write(ReferenceFaults(mismatched=0.02))
    n = sound.num_rows
    assert len(stated["mismatched_rows"]) == round(0.02 * n)
    changed = np.flatnonzero(wrong["mag_rSDSS"].to_numpy() != sound["mag_rSDSS"].to_numpy())
    assert changed.tolist() == stated["mismatched_rows"]
    assert wrong["ra"].equals(sound["ra"])


def test_entries_without_a_motion_are_stated(write):
    wrong, stated = write(ReferenceFaults(motionless=0.01))
    still = np.flatnonzero(wrong["pmra"].to_numpy() == 0)
    assert still.tolist() == stated["motionless_rows"]
    assert len(still) == round(0.01 * wrong.num_rows)


def test_close_neighbours_are_one_entry_with_the_light_of_both(sky):
    r = filters.names().index("rSDSS")
    chosen = np.flatnonzero(~sky.is_galaxy & (sky.mag_published[:, r] < 18.5))
    # Put the second brightest entry beside the brightest, and a star beyond the reach of both.
    order = chosen[np.argsort(sky.mag_published[chosen, r])]
    ra, dec = sky.ra.copy(), sky.dec.copy()
    ra[order[1]], dec[order[1]] = ra[order[0]], dec[order[0]] + 1.0 / 3600
    ra[order[2]], dec[order[2]] = ra[order[0]], dec[order[0]] - 3.0 / 3600
    near = replace(sky, ra=ra, dec=dec)
    kept, light, blended = refcat_faults.blend(ReferenceFaults(blend_arcsec=2.0), near, chosen)
    assert order[0] in kept
    assert order[1] not in kept
    assert order[2] in kept
    row = int(np.flatnonzero(kept == order[0])[0])
    assert row in blended
    both = -2.5 * np.log10((10 ** (-0.4 * sky.mag_published[order[:2]])).sum(axis=0))
    assert (light[row] <= both + 1e-9).all()
    np.testing.assert_allclose(light[row, r], both[r], atol=0.05)
    alone = np.setdiff1d(np.arange(kept.size), blended)
    np.testing.assert_allclose(light[alone], sky.mag_published[kept[alone]], atol=1e-9)
