"""Zero points of single frames against the truth, with a reference as wrong as real ones are.

    python benchmarks/zeropoints.py [BAND ...]    (half an hour on one core)

Fields of twelve bands, each with a sky and a camera of its own, go through the program's own verbs
as far as reduced images. Nothing is easy that real nights make hard: wrong gains, non-linearity,
stray light that flats see and stars do not, gradients and patches of cloud, filters that are not
the published ones, and a reference catalogue with errors of its own (`REAL_REFERENCE`).

The true zero point of a frame is that of the light within 15 arcsec at the mean transparency of the
field, for a star of the colour at which a zero point is stated, in the published system and in the
electrons that the headers' gains and the flat make.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.bands import filters
from tesela.cli import ingest, init, refcat, run
from tesela.products import files
from tesela.products.flags import SourceFlag
from tesela.products.images import Table, to_columns
from tesela.score import objects, zeropoint
from tesela.score.statistics import robust_rms
from tesela.simulate import campaign, detector, night, settings
from tesela.simulate.clouds import Clouds
from tesela.simulate.survey import survey_toml
from tesela.simulate.truth import FrameTruth, read_frame
from tesela.sky import match

Floats = NDArray[np.float64]

SEEDS, FRAMES = (1, 2, 3, 4, 5, 6), 4
BLUE, BLUE_MMAG, OTHERS_MMAG = ("uJAVA", "J0378", "J0395"), 15.0, 8.0
PIVOT, PIVOT_WIDTH, LIMIT_MAG = 0.8, 0.25, 18.5
MATCH_ARCSEC, LEAST_SNR, BRIGHT_SNR = 1.0, 20.0, 100.0
_SPOILED = int(
    SourceFlag.NEIGHBOUR | SourceFlag.BLENDED | SourceFlag.SATURATED | SourceFlag.TRUNCATED
)
_ELSEWHERE = '"EMPTY" = [0.0, -60.0]'


@dataclass(frozen=True)
class Zero:
    """A frame's zero point minus its truth, and what is known of the difference; mmag."""

    field: int
    band: str
    error: float
    reference: float
    """What the systematics that were put into the reference make of it."""
    flux: float
    """What PSF fluxes make of it that do not hold all the light within 15 arcsec; it cancels in
    the magnitudes of stars."""
    stated: float
    """The error that the frame states."""


def measure(folder: Path, seed: int, bands: Sequence[str]) -> Iterator[Zero]:
    """Simulate and process one field; yields its frames."""
    observed = _settings(seed, bands)
    raws, site = folder / "nights", folder / "site"
    _process(raws, site, observed)
    yield from compare(raws, site, observed)


def compare(raws: Path, site: Path, observed: settings.NightSettings) -> Iterator[Zero]:
    """The reduced images of a site against the truth of its night."""
    true = objects.read(raws / "truth" / "objects.parquet")
    wrong = _Reference.read(raws)
    units = {band: _units(observed, band) for band in observed.band_names}
    systems = {band: _system(true, band) for band in observed.band_names}
    for path in sorted(site.glob("products/reduced/*/*.fits")):
        fits = files.read_fits(path, ["SOURCES"])
        cards = fits.cards["IMAGE"]
        truth = read_frame(raws / "truth" / f"{cards['FRAME']}.npz")
        band, stars = truth.band, to_columns(fits.data["SOURCES"])
        zero = truth.zeropoint15_mag + units[band] + systems[band] - _dimming(truth)
        yield Zero(
            observed.seed, band, 1e3 * (float(cards["MAGZP"]) - zero),
            1e3 * wrong.systematic(stars, band), 1e3 * _light(stars, truth, true, units[band]),
            1e3 * float(cards["MAGZPERR"]),
        )  # fmt: skip


def _settings(seed: int, bands: Sequence[str]) -> settings.NightSettings:
    return replace(
        settings.demo(), seed=seed, bands=tuple(bands), tiles=1, n_dither=FRAMES, n_dark=3,
        dark_exptime_s=600.0, ramp_band="rSDSS",
        **{**campaign.REAL, "cloud_patch_probability": 0.3, "fringe_factor": 1.0},
    )  # fmt: skip


def _process(raws: Path, site: Path, observed: settings.NightSettings) -> None:
    """From raw frames to reduced images; the grid's tile is elsewhere, so nothing is coadded."""
    night.make(raws, observed)
    text = re.sub(r'"SIM-\d+" = \[.*\]', _ELSEWHERE, survey_toml(observed))
    (raws / "survey.toml").write_text(text, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        init.init(site, raws / "survey.toml", as_json=True)
        refcat.add("simulated", raws / "refcat.parquet", site, as_json=True)
        ingest.ingest([raws / "raw"], site, as_json=True)
        run.run(site, 1, as_json=True, dry_run=False)


# -- the truth ----------------------------------------------------------------------------------


def _units(observed: settings.NightSettings, band: str) -> float:
    """Magnitudes between true electrons at response 1 and those of a reduced image.

    A flat holds the response, the light and the pixels' areas that stars do not see, and stated
    over true gain; it is normalised by its median. An illumination has a mean of zero.
    """
    unit = detector.build(observed)
    unseen = detector.stray_light(observed, band) * detector.pixel_area(observed)
    flat = detector.response(observed, band) * unseen
    for k, amp in enumerate(unit.camera.amplifiers):
        flat[amp.dest.slices] *= unit.header_gain[k] / unit.gain[k]
    return 2.5 * float(np.log10(np.median(flat)) - np.mean(np.log10(unseen)))


def _system(true: objects.Objects, band: str) -> float:
    """Published minus natural magnitude of stars at the pivot, from those of about that colour."""
    near = true.is_point & ~true.is_variable & (true.published["rSDSS"] < LIMIT_MAG)
    near &= np.abs(true.colour - PIVOT) < PIVOT_WIDTH
    colour = true.colour[near] - PIVOT
    difference = true.published[band][near] - true.mag[band][near]
    for _ in range(5):  # quasars and white dwarfs are not on the locus
        off = difference - np.polyval(np.polyfit(colour, difference, 1), colour)
        kept = np.abs(off) <= 3 * max(robust_rms(off), 1e-5)
        colour, difference = colour[kept], difference[kept]
    return float(np.polyfit(colour, difference, 1)[1])


def _light(stars: Table, truth: FrameTruth, true: objects.Objects, units: float) -> float:
    """2.5 log10 of measured over true flux within 15 arcsec: median of bright constant stars."""
    order = np.argsort(true.id)
    rows = order[np.searchsorted(true.id, truth.id, sorter=order)]
    sound = true.is_point[rows] & ~true.is_variable[rows]
    inside = truth.zeropoint15_mag - truth.zeropoint_mag + units
    expected = truth.flux_e[sound] * 10 ** (0.4 * inside)
    bright = expected > BRIGHT_SNR * np.nanmedian(stars["flux_psf_err"])
    ra, dec = truth.astrometry.to_sky(truth.x[sound][bright], truth.y[sound][bright])
    i, k, _ = match.nearest(stars["ra"], stars["dec"], ra, dec, MATCH_ARCSEC)
    flux, snr = stars["flux_psf"][i], stars["flux_psf"][i] / stars["flux_psf_err"][i]
    use = ((stars["flags"][i] & _SPOILED) == 0) & (snr > BRIGHT_SNR)
    return 2.5 * float(np.median(np.log10(flux[use] / expected[bright][k][use])))


def _dimming(truth: FrameTruth) -> float:
    """Mean magnitudes that clouds take over the field."""
    ny, nx = truth.shape
    y, x = np.mgrid[0:ny:16, 0:nx:16]
    nx_, ny_, *rest = truth.clouds
    return float(Clouds(int(nx_), int(ny_), *rest).dimming_mag(x, y).mean())


@dataclass(frozen=True)
class _Reference:
    """The reference catalogue as given, and its hidden errors by band."""

    table: dict[str, NDArray[Any]]
    hidden: dict[str, Floats]

    @classmethod
    def read(cls, raws: Path) -> _Reference:
        table = pq.read_table(raws / "refcat.parquet")
        stated = json.loads((raws / "truth" / "reference.json").read_text(encoding="utf-8"))
        hidden = {b: np.array(values) for b, values in stated["systematic_mag"].items()}
        return cls({name: table[name].to_numpy() for name in table.column_names}, hidden)

    def systematic(self, stars: Table, band: str) -> float:
        """Weighted mean of the hidden errors of a frame's stars, mag."""
        i, k, _ = match.nearest(
            stars["ra"], stars["dec"], self.table["ra"], self.table["dec"], MATCH_ARCSEC
        )
        snr = stars["flux_psf"][i] / stars["flux_psf_err"][i]
        use = (snr > LEAST_SNR) & ((stars["flags"][i] & SourceFlag.SATURATED) == 0)
        error = np.hypot(self.table[f"mag_err_{band}"][k], 1.0857 / np.maximum(snr, 1.0))
        weight = np.where(use, 1 / (error**2 + 0.005**2), 0.0)
        return float(np.average(self.hidden[band][k], weights=weight))


# -- the table ----------------------------------------------------------------------------------


def table(zeros: Sequence[Zero]) -> str:
    """A row a band, and all together; mmag, robust rms about zero and the largest."""
    heads = (
        "band", "frames", "limit", "absolute", "of that the reference", "without it",
        "of that the PSF flux", "without both", "frame to frame", "stated error",
        "without both, over stated",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---|---:|" + "---:|" * (len(heads) - 2)]
    bands = [band for band in filters.names() if any(z.band == band for z in zeros)]
    for band in bands:
        limit = BLUE_MMAG if band in BLUE else OTHERS_MMAG
        lines.append(_row(band, [z for z in zeros if z.band == band], f"{limit:g}"))
    lines.append(_row("all", zeros, ""))
    return "\n".join(lines) + "\n"


def _row(name: str, zeros: Sequence[Zero], limit: str) -> str:
    error, reference, flux, stated = (
        np.array([getattr(z, name) for z in zeros])
        for name in ("error", "reference", "flux", "stated")
    )
    own = error - reference
    apart = zeropoint.relative_row(
        "", [zeropoint.FrameZero(f"{z.field} {z.band}", z.error) for z in zeros]
    )
    largest = re.search(r"largest (\S+)", apart.note)
    cells = (
        name, str(len(zeros)), limit, _spread(error), _spread(reference), _spread(own),
        _spread(flux), _spread(own - flux), f"{apart.value:.1f} ({largest[1] if largest else '-'})",
        f"{np.median(stated):.1f}", _spread((own - flux) / stated),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _spread(values: Floats) -> str:
    return f"{robust_rms(values):.1f} ({np.abs(values).max():.1f})"


def main() -> None:
    """Measure in a folder that goes away; with bands, only those."""
    bands = sys.argv[1:] or filters.names()
    zeros: list[Zero] = []
    for seed in SEEDS:
        print(f"... field {seed} of {len(SEEDS)}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tesela-zeropoints-") as folder:
            zeros += measure(Path(folder), seed, bands)
    print(table(zeros))


if __name__ == "__main__":
    main()
