"""A rehearsal of the whole chain on a drawn star field of 320 x 320 pixels.

It compiles every kernel with the very types that real frames bring (they are cached on disk, so
this costs time once), and it is a self-check: what comes out must be what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Amplifier, Camera, Section
from tesela.config import Reference
from tesela.errors import TeselaError
from tesela.pixels import illumination
from tesela.products.catalogue import Catalogue
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Table
from tesela.products.masterkind import KINDS
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs
from tesela.stages import catalog, coadd, masters, reduce, valueadded

_SIZE, _STRIP, _SCALE = 320, 12, 0.55
_BANDS = ("gSDSS", "rSDSS")
_LEVEL, _GAIN, _NOISE = 1000.0, 1.5, 4.0
_ZEROPOINT, _EXPTIME, _SKY = 22.0, 60.0, 200.0
_POINTING = (211.8, 55.1)
_TOLERANCE_MAG = 0.03
_SETTINGS = masters.MastersSettings()
Progress = Callable[[int, int, str], None]


@dataclass
class Rehearsal:
    """What came out: the error of the zero point (mag) and the number of sources."""

    zeropoint_error_mag: float
    n_sources: int


@dataclass
class _Stage:
    """What the steps of the rehearsal hand on."""

    camera: Camera
    wcs: Wcs
    stars: dict[str, NDArray[np.float64]]
    results: dict[str, Any] = field(default_factory=dict)


def run(progress: Progress | None = None) -> Rehearsal:
    """Go through the chain once; `progress` is called with (done, of, what comes next).

    Raises `TeselaError` if the chain does not give back what was drawn.
    """
    stage = _Stage(_camera(), _wcs(), _stars())
    steps: list[tuple[str, Callable[[_Stage], None]]] = [
        ("master bias", _bias),
        ("master dark", _dark),
        ("linearity", _linearity),
        ("master flat", _flat),
        ("bad pixels", _badpixel),
        ("crosstalk", _crosstalk),
        ("illumination", _illumination),
        ("fringes", _fringe),
        ("reduction", _reduce),
        ("quick look", _quick_look),
        ("frames of floats", _float_frame),
        ("coadd", _coadd),
        ("catalogue", _catalog),
        ("dual catalogue", _dual),
        ("value-added columns", _valueadded),
    ]
    for done, (name, step) in enumerate(steps):
        if progress:
            progress(done, len(steps), name)
        step(stage)
    if progress:
        progress(len(steps), len(steps), "done")
    error = stage.results["reduced"].metrics["zeropoint_mag"] - _ZEROPOINT
    if not abs(error) < _TOLERANCE_MAG:
        raise TeselaError(
            "rehearsal",
            found=f"a zero point wrong by {error:+.3f} mag",
            expected=f"less than {_TOLERANCE_MAG} mag on a drawn field",
            do="the installation is damaged: install tesela anew",
        )
    return Rehearsal(float(error), len(stage.results["catalogue"].catalogue))


def _camera() -> Camera:
    half, amps = _SIZE // 2, []
    for n in range(2):
        x = n * (half + _STRIP)
        strip = x + half if n == 0 else x
        data = x if n == 0 else x + _STRIP
        amps.append(
            Amplifier(
                n + 1,
                Section(data, data + half, 0, _SIZE),
                Section(n * half, (n + 1) * half, 0, _SIZE),
                _GAIN,
                _NOISE,
                60000.0,
                overscan=Section(strip, strip + _STRIP, 0, _SIZE),
                flip_x=n == 1,
            )
        )
    tiny = np.array([[0.0, 1e-6], [1e-6, 0.0]])
    return Camera(
        "rehearsal", "none", "reh", "none", _SIZE + 2 * _STRIP, _SIZE, _SIZE, _SIZE, _SCALE,
        ((-1.0, 0.0), (0.0, 1.0)), ("01",), tuple(amps),
        crosstalk=tuple(tuple(row) for row in tiny.tolist()),
    )  # fmt: skip


def _wcs() -> Wcs:
    return nominal(*_POINTING, _SCALE, ((-1.0, 0.0), (0.0, 1.0)), (_SIZE, _SIZE))


def _stars() -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    side = 11
    cell = _SIZE / side
    gy, gx = (g.ravel() for g in np.mgrid[0:side, 0:side])
    x = (gx + 0.5) * cell + rng.uniform(-5, 5, gx.size)
    y = (gy + 0.5) * cell + rng.uniform(-5, 5, gx.size)
    mag = rng.uniform(13.5, 18.0, gx.size)
    ra, dec = _wcs().pix_to_sky(x, y)
    return {"x": x, "y": y, "mag": mag, "ra": ra, "dec": dec}


def _raw(electrons: NDArray[np.float64], camera: Camera, seed: int) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    raw = rng.normal(_LEVEL, _NOISE / _GAIN, (camera.raw_ny, camera.raw_nx))
    for amp in camera.amplifiers:
        raw[amp.data.slices] += rng.poisson(electrons[amp.dest.slices]) / _GAIN
    return np.clip(np.rint(raw), 0, 65535).astype(np.uint16)


def _scene(stars: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Moffat stars (FWHM 3 px), the flux within 15 arcsec as the zero point means it."""
    y, x = np.mgrid[0:_SIZE, 0:_SIZE]
    beta = 3.0
    alpha2 = (3.0 / 2) ** 2 / (2 ** (1 / beta) - 1)
    inside = 1 - (1 + (15 / _SCALE) ** 2 / alpha2) ** (1 - beta)
    image = np.full((_SIZE, _SIZE), _SKY)
    for sx, sy, mag in zip(stars["x"], stars["y"], stars["mag"]):
        flux = _EXPTIME * 10 ** (-0.4 * (mag - _ZEROPOINT)) / inside
        r2 = (x - sx) ** 2 + (y - sy) ** 2
        image += flux * (beta - 1) / (np.pi * alpha2) * (1 + r2 / alpha2) ** -beta
    image[100, 40:44] += 3000.0  # a cosmic ray
    return image


def _facts(name: str, obstype: str, camera: Camera, **changes: Any) -> FrameFacts:
    exptime = 0.0 if obstype == "bias" else _EXPTIME
    facts = FrameFacts(
        name, "", "", "", camera.telescope, camera.name, "01", "r", "-", obstype, "", "-", 57937.9,
        exptime, *_POINTING, 1.0, "", "rehearsal", "2017-07-03", camera.nx, camera.ny, None,
    )  # fmt: skip
    return replace(facts, **changes)


def _inputs(
    stage: _Stage, kind: str, frames: list[NDArray[Any]], needs: tuple[str, ...] = ("BIAS",)
) -> masters.RawInputs:
    return masters.RawInputs(
        kind.upper(),
        stage.camera,
        masters={name: stage.results[name] for name in needs},
        facts=[_facts(f"{kind}{i}", kind, stage.camera) for i in range(len(frames))],
        headers=[{}] * len(frames),
        pixels=frames,
    )


def _bias(stage: _Stage) -> None:
    dark = np.zeros((_SIZE, _SIZE))
    frames = [_raw(dark, stage.camera, seed) for seed in (11, 12, 13)]
    made = masters.build_bias(_inputs(stage, "bias", frames, ()), _SETTINGS.bias)
    stage.results["BIAS"] = made.master


def _dark(stage: _Stage) -> None:
    dark = np.zeros((_SIZE, _SIZE))
    frames = [_raw(dark, stage.camera, seed) for seed in (14, 15, 16)]
    stage.results["DARK"] = masters.build_dark(
        _inputs(stage, "dark", frames), _SETTINGS.dark
    ).master


def _linearity(stage: _Stage) -> None:
    """A ramp of a linear detector: what is measured is next to nothing."""
    seconds = (1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 20.0)
    frames = [
        _raw(np.full((_SIZE, _SIZE), 4000.0 * s), stage.camera, 40 + i)
        for i, s in enumerate(seconds)
    ]
    inputs = _inputs(stage, "flat", frames, ("BIAS", "DARK"))
    inputs.facts = [replace(one, exptime_s=s) for one, s in zip(inputs.facts, seconds)]
    stage.results["LINEARITY"] = masters.build_linearity(inputs, _SETTINGS.linearity).master


def _flat(stage: _Stage) -> None:
    light = np.full((_SIZE, _SIZE), 30000.0)
    frames = [_raw(light, stage.camera, seed) for seed in (21, 22, 23)]
    inputs = _inputs(stage, "flat", frames, ("BIAS", "DARK", "LINEARITY"))
    stage.results["FLAT"] = masters.build_flat(inputs, _SETTINGS.flat).master


def _badpixel(stage: _Stage) -> None:
    parts = {kind: [stage.results[kind]] for kind in ("BIAS", "DARK", "FLAT")}
    inputs = masters.CombinedInputs("BADPIXEL", stage.camera, parts=parts)
    stage.results["BADPIXEL"] = masters.build_badpixel(inputs, _SETTINGS.badpixel).master


def _crosstalk(stage: _Stage) -> None:
    """Of bright stars; the matrix itself is of no use."""
    scene = _scene(stage.stars)
    frames = [_raw(scene, stage.camera, seed) for seed in (31, 32)]
    inputs = _inputs(stage, "science", frames, ("BIAS", "DARK", "LINEARITY"))
    masters.build_crosstalk(inputs, _SETTINGS.crosstalk)


def _illumination(stage: _Stage) -> None:
    """A flat surface, from stars on moved frames."""
    rng = np.random.default_rng(5)
    n_star, n_frame = 300, 5
    star = np.tile(np.arange(n_star), n_frame)
    place = rng.uniform(0, _SIZE, (2, n_star))
    found = illumination.solve(
        illumination.Observations(
            x=(place[0][star] + rng.uniform(-40, 40, star.size)) % _SIZE,
            y=(place[1][star] + rng.uniform(-40, 40, star.size)) % _SIZE,
            frame=np.repeat(np.arange(n_frame), n_star),
            star=star,
            mag=rng.normal(15.0, 0.01, star.size),
            mag_err=np.full(star.size, 0.01),
            n_frames=n_frame,
            n_stars=n_star,
            ext_mag=np.full(n_star, 15.0),
            ext_err=np.full(n_star, 0.01),
            ext_colour=rng.normal(0, 0.3, n_star),
            sky=place.T / 3600,
        ),
        (_SIZE, _SIZE),
    )
    empty = np.empty((0, 0))
    flat_map = {"map": np.zeros_like(found.map, np.float32)}
    stage.results["ILLUMINATION"] = Master(
        "ILLUMINATION", empty.astype(np.float32), empty.astype(np.uint8), [], flat_map
    )


def _fringe(stage: _Stage) -> None:
    """From detrended images, objects and all; removed later is a pattern that is not there."""
    made = reduce.detrend(_science(stage, _calset(stage)), reduce.ReduceSettings()).image
    cards = {key: value for key, value, _ in made.cards}
    images = [
        masters.Detrended(
            _facts(f"science{i}", "science", stage.camera, ra_deg=_POINTING[0] + i),
            made.image,
            np.zeros_like(made.mask),
            cards,
            made.sources,
        )
        for i in range(4)
    ]
    inputs = masters.ImageInputs("FRINGE.r", stage.camera, images=images)
    masters.build_fringe(inputs, replace(_SETTINGS.fringe, min_free=0.0))
    wave = np.sin(np.arange(_SIZE, dtype=np.float32) / 6)
    pattern = np.float32(0.01) * wave[:, None] * wave[None, :]
    stage.results["FRINGE"] = Master("FRINGE", pattern, np.zeros(pattern.shape, np.uint8))


def _calset(stage: _Stage) -> reduce.Calset:
    masters = {kind: stage.results[kind] for kind in KINDS if kind in stage.results}
    return reduce.prepare(masters, stage.camera, "science")


def _science(stage: _Stage, calset: reduce.Calset) -> reduce.ReduceInputs:
    stars = stage.stars
    refcat: Table = {
        "ra": stars["ra"],
        "dec": stars["dec"],
        "mag": stars["mag"],
        "err": np.full(len(stars["mag"]), 0.01),
    }
    return reduce.ReduceInputs(
        _facts("science", "science", stage.camera),
        {},
        _raw(_scene(stars), stage.camera, 31),
        stage.camera,
        calset,
        refcat,
        Reference(mag="mag", err="err"),
    )


def _reduce(stage: _Stage) -> None:
    stage.results["reduced"] = reduce.reduce(
        _science(stage, _calset(stage)), reduce.ReduceSettings()
    )


def quick_look() -> None:
    """The quick look alone, of a drawn field: what it needs is loaded and compiled then."""
    _quick_look(_Stage(_camera(), _wcs(), _stars()))


def _quick_look(stage: _Stage) -> None:
    """With no masters at all, as in the first night of a camera."""
    inputs = _science(stage, reduce.approximate({}, stage.camera, "science"))
    made = reduce.look(inputs, reduce.ReduceSettings(), reduce.QuickSettings())
    if made.rejections:
        raise TeselaError(
            "quick look", found="; ".join(made.rejections), expected="a drawn field that passes"
        )


def _float_frame(stage: _Stage) -> None:
    """What cameras whose frames are floats ask of the kernels that read raw pixels."""
    inputs = _science(stage, _calset(stage))
    floats = replace(inputs, pixels=inputs.pixels.astype(np.float32))
    reduce.look(floats, reduce.ReduceSettings(), reduce.QuickSettings())
    bias = _raw(np.zeros((_SIZE, _SIZE)), stage.camera, 11).astype(np.float32)
    masters.build_bias(_inputs(stage, "bias", [bias] * 3, ()), _SETTINGS.bias)


def _coadd(stage: _Stage) -> None:
    image = stage.results["reduced"].image
    frames = [coadd.CoaddInput(name, image) for name in ("a", "b", "c")]
    inputs = coadd.CoaddInputs("rehearsal", "r", stage.wcs, frames)
    stage.results["coadd"] = coadd.coadd(inputs, coadd.CoaddSettings())


def _catalog(stage: _Stage) -> None:
    made = stage.results["coadd"]
    inputs = catalog.CatalogInputs(
        "rehearsal", "r", made.coadd, stage.wcs, made.metrics["zeropoint_mag"]
    )
    settings = catalog.CatalogSettings(noise_apertures=200, injections=50)
    stage.results["catalogue"] = catalog.catalog(inputs, settings)


def _dual(stage: _Stage) -> None:
    """The coadd twice, as two bands: a kernel is fitted and used all the same."""
    made = stage.results["coadd"]
    inputs = catalog.DualInputs(
        "rehearsal",
        _BANDS[1],
        _BANDS,
        {band: lambda: made.coadd for band in _BANDS},
        dict.fromkeys(_BANDS, made.metrics["zeropoint_mag"]),
        stage.wcs,
        dict.fromkeys(_BANDS, stage.results["catalogue"].catalogue),
    )
    detection = catalog.CatalogSettings(noise_apertures=200, injections=0)
    stage.results["dual"] = catalog.dual(inputs, catalog.DualSettings(detection)).catalogue


def _valueadded(stage: _Stage) -> None:
    """Redshifts on a coarse grid."""
    n = len(_BANDS)
    zero = stage.results["coadd"].metrics["zeropoint_mag"]
    solution = {
        "band": np.array(_BANDS, object),
        "frame": np.array([""] * n, object),
        "zeropoint_mag": np.full(n, zero),
        "zeropoint_err_mag": np.zeros(n),
    }
    settings = valueadded.ValueaddedSettings(
        photoz=valueadded.PhotozSettings(
            z_max=0.1, z_step=0.02, min_bands=2, dust_ebv_mag=(0.0,), line_strength=(0.0,)
        )
    )
    zeropoints = Catalogue(solution, {"tile": "rehearsal"}, "zeropoints")
    inputs = valueadded.ValueaddedInputs(stage.results["dual"], zeropoints)
    stage.results["valueadded"] = valueadded.valueadded(inputs, settings)
