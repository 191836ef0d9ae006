"""What the tools of today need for the stages of one frame, on the very frame that we reduced."""

from __future__ import annotations

import importlib.util
import pickle
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pages import Result

from tesela import cameras
from tesela.flow.run.steps import Order
from tesela.pixels import background
from tesela.products import files, paths, rawfile
from tesela.products.images import ReducedImage, card_dict
from tesela.products.maskbit import MaskBit

_COLUMNS = """
NUMBER X_IMAGE Y_IMAGE XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE ERRBWIN_IMAGE ERRTHETAWIN_IMAGE
ERRX2_IMAGE ERRY2_IMAGE ERRXY_IMAGE A_IMAGE B_IMAGE THETA_IMAGE ELLIPTICITY ELONGATION FWHM_IMAGE
FLUX_RADIUS KRON_RADIUS PETRO_RADIUS MU_MAX MU_THRESHOLD BACKGROUND THRESHOLD ISOAREA_IMAGE
ISOAREAF_IMAGE FLUX_ISO FLUXERR_ISO MAG_ISO MAGERR_ISO FLUX_AUTO FLUXERR_AUTO MAG_AUTO MAGERR_AUTO
FLUX_PETRO FLUXERR_PETRO MAG_PETRO MAGERR_PETRO FLUX_APER(12) FLUXERR_APER(12) MAG_APER(12)
MAGERR_APER(12) FLUX_MAX XPEAK_IMAGE YPEAK_IMAGE XMIN_IMAGE YMIN_IMAGE XMAX_IMAGE YMAX_IMAGE
X2_IMAGE Y2_IMAGE XY_IMAGE CXX_IMAGE CYY_IMAGE CXY_IMAGE CLASS_STAR FLAGS NIMAFLAGS_ISO
IMAFLAGS_ISO
"""
"""The sixty-odd columns of a catalogue like that of J-PLUS."""
_APERTURES = "1.5,1.8,2.2,2.7,3.6,5.5,7.3,10.9,14,18,22,27"

Say = Callable[[str], None]


def results(place: Path, ours: dict[str, Any], say: Say) -> Iterator[Result]:
    """A line a stage: the peer's CPU time, and how many times ours that is."""
    stages = {name: cpu for name, (cpu, _) in ours["stages"].items()}
    total = 0.0
    with tempfile.TemporaryDirectory(prefix="tesela-peers-") as temporary:
        frame = _Frame(place, ours["image"], Path(temporary))
        for name, peer, of_ours in _PEERS:
            say(f"{name} on the same frame")
            found = peer(frame)
            if isinstance(found, str):
                yield Result(f"{name}", "-", found)
                continue
            cpu, wall, note = found
            total += cpu
            mine = sum(stages[stage] for stage in of_ours)
            yield Result(
                name,
                f"{cpu:.1f} CPU s",
                f"{cpu / mine:.1f} times ours ({mine:.2f}: {', '.join(of_ours)}); {wall:.1f} s wall"
                + (f"; {note}" if note else ""),
            )
    yield Result(
        "peers together", f"{total:.1f} CPU s", f"{total / ours['cpu']:.1f} times our whole frame"
    )


class _Frame:
    """The raw frame, its masters, and what we made of it, as the peers want them."""

    def __init__(self, place: Path, image: str, folder: Path) -> None:
        _, order = pickle.loads(place.read_bytes())  # noqa: S301 - a file of our own
        self.folder, self.order = folder, order
        self.raw = Path(order.of_kind("raw")[0].path)
        reduced = ReducedImage.read(Path(image))
        self.cards = card_dict(reduced.cards)
        shape = (reduced.image.shape[0], reduced.image.shape[1])
        sky = background.from_mesh(reduced.sky_mesh[0], shape, int(self.cards["SKYMESH"]))
        self.image = reduced.image + sky
        self.mask = (reduced.mask & np.uint8(MaskBit.BAD | MaskBit.SATURATED)) > 0
        self.fits = folder / "image.fits"
        files.write_fits(self.fits, [files.Hdu("", self.image, [("GAIN", 1.0, "")])])

    def camera(self, header: dict[str, Any]) -> cameras.Camera:
        name = str(self.cards["CAMERA"])
        own = paths.cameras_folder(Path(self.order.site))
        return cameras.load(name, own).with_header(header, "frame")


Cost = tuple[float, float, str] | str
"""CPU s, wall s and a note, or why there is none."""


def _detrend(frame: _Frame) -> Cost:
    if importlib.util.find_spec("ccdproc") is None:
        return "ccdproc is not installed"
    import astropy.units as u
    import ccdproc
    from astropy.nddata import CCDData

    order: Order = frame.order
    header, pixels = rawfile.read(frame.raw)
    camera = frame.camera(header)
    planes = [np.zeros(camera.shape, np.float32), np.ones(camera.shape, np.float32)]
    planes[1] *= np.linspace(0.9, 1.1, camera.shape[1], dtype=np.float32)

    def work() -> None:
        out = np.empty(camera.shape, np.float32)
        for amp in camera.amplifiers:
            assert amp.overscan is not None
            part = CCDData(pixels[amp.data.slices].astype(np.float32), unit="adu")
            strip = CCDData(pixels[amp.overscan.slices].astype(np.float32), unit="adu")
            part = ccdproc.subtract_overscan(part, overscan=strip, median=True, overscan_axis=1)
            part = ccdproc.gain_correct(part, amp.gain_e_per_adu * u.electron / u.adu)
            out[amp.dest.slices] = part.data
        image = CCDData(out, unit="electron")
        image = ccdproc.subtract_bias(image, CCDData(planes[0], unit="electron"))
        ccdproc.flat_correct(image, CCDData(planes[1], unit=""))

    del order
    return (*_timed(work), "overscan, gain, bias and flat alone")


def _cosmics(frame: _Frame) -> Cost:
    if importlib.util.find_spec("astroscrappy") is None:
        return "astroscrappy is not installed"
    import astroscrappy

    def work() -> None:
        astroscrappy.detect_cosmics(
            frame.image, inmask=frame.mask, gain=1.0, readnoise=float(frame.cards["RDNOISE"]),
            sigclip=4.5, sigfrac=0.3, objlim=5.0, niter=4, sepmed=True, cleantype="meanmask",
        )  # fmt: skip

    return (*_timed(work), "")


def _sources(frame: _Frame) -> Cost:
    return _extractor(
        frame, _COLUMNS.split(), {"DETECT_THRESH": "1.5"}, "background, detection, columns"
    )


def _psf(frame: _Frame) -> Cost:
    if shutil.which("psfex") is None:
        return "psfex is not installed"
    columns = "VIGNET(35,35) X_IMAGE Y_IMAGE FLUX_RADIUS SNR_WIN FLUX_APER(1) FLUXERR_APER(1) "
    columns += "ELONGATION FLAGS"
    options = {
        "DETECT_THRESH": "10", "CATALOG_TYPE": "FITS_LDAC", "PHOT_APERTURES": "10",
        "SATUR_LEVEL": "60000",
    }  # fmt: skip
    first = _extractor(frame, columns.split(), options, "")
    if isinstance(first, str):
        return first
    command = ["psfex", str(frame.folder / "out.cat"), "-NTHREADS", "1", "-CHECKIMAGE_TYPE",
               "NONE", "-CHECKPLOT_TYPE", "NONE", "-PSFVAR_DEGREES", "2", "-WRITE_XML", "N",
               "-PSF_SIZE", "31,31", "-PSF_SAMPLING", "1.0"]  # fmt: skip
    second = _run(command, frame.folder)
    return first[0] + second[0], first[1] + second[1], "source-extractor at 10 sigma and psfex"


def _compress(frame: _Frame) -> Cost:
    from astropy.io import fits

    def work() -> None:
        hdu = fits.CompImageHDU(frame.image, compression_type="RICE_1", quantize_level=16)
        hdu.writeto(frame.folder / "compressed.fits", overwrite=True)

    return (*_timed(work), "astropy, one plane of the two that we write")


_PEERS: tuple[tuple[str, Callable[[_Frame], Cost], tuple[str, ...]], ...] = (
    ("ccdproc", _detrend, ("remove_signature", "fill_bad_pixels")),
    ("astroscrappy", _cosmics, ("mask_cosmics",)),
    ("source-extractor", _sources, ("find_objects", "subtract", "detect_sources")),
    ("psfex", _psf, ("model_psf",)),
    ("RICE", _compress, ("_written",)),
)


def _extractor(frame: _Frame, columns: list[str], options: dict[str, str], note: str) -> Cost:
    if shutil.which("source-extractor") is None:
        return "source-extractor is not installed"
    folder = frame.folder
    (folder / "out.param").write_text("\n".join(columns) + "\n", encoding="utf-8")
    kernel = "CONV NORM\n1 2 1\n2 4 2\n1 2 1\n"
    (folder / "filter.conv").write_text(kernel, encoding="utf-8")
    network = next(Path("/usr/share").glob("s*ext*/default.nnw"), None)
    settings = {
        "CATALOG_NAME": str(folder / "out.cat"), "PARAMETERS_NAME": str(folder / "out.param"),
        "FILTER_NAME": str(folder / "filter.conv"), "DETECT_MINAREA": "5", "GAIN": "1.0",
        "BACK_SIZE": "256", "PHOT_APERTURES": _APERTURES, "VERBOSE_TYPE": "QUIET",
        "MEMORY_PIXSTACK": "3000000", "SATUR_LEVEL": "60000", "PIXEL_SCALE": "0.55",
    }  # fmt: skip
    if network is not None:
        settings["STARNNW_NAME"] = str(network)
    flags = folder / "flags.fits"
    if "IMAFLAGS_ISO" in columns:
        files.write_fits(flags, [files.Hdu("", frame.mask.astype(np.uint8), [])])
        settings["FLAG_IMAGE"] = str(flags)
    command = ["source-extractor", str(frame.fits)]
    for key, value in (settings | options).items():
        command += [f"-{key}", value]
    try:
        cpu, wall = _run(command, folder)
    finally:
        flags.unlink(missing_ok=True)
    return cpu, wall, note


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _run(command: list[str], folder: Path) -> tuple[float, float]:
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - wall
