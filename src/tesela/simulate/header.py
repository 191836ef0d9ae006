"""The FITS file of a raw frame, with the cards that the camera's software writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from astropy.io import fits

from tesela.simulate.detector import Detector
from tesela.simulate.exposure import Exposure

IMAGETYP = {
    "bias": "BIAS", "dark": "DARK", "flat": "SKYFLAT", "dome": "DOMEFLAT", "science": "OBJECT",
}  # fmt: skip
DPR_TYPE = {
    "bias": "BIAS", "dark": "DARK", "flat": "FLAT,SKY", "dome": "FLAT,LAMP", "science": "OBJECT",
}  # fmt: skip


def cards(
    exposure: Exposure, detector: Detector, *, airmass: float, ccd_temp_c: float
) -> fits.Header:
    """Header of a raw frame: what the telescope believes, not what is true."""
    camera = detector.camera
    header = fits.Header()
    header["OBJECT"] = (exposure.object, "target")
    if exposure.band:
        header["FILTER"] = (exposure.band, "band")
    header["EXPTIME"] = (exposure.stated_exptime_s, "[s] exposure time")
    header["IMAGETYP"] = IMAGETYP[exposure.kind]
    header["DATE-OBS"] = (exposure.start.strftime("%Y-%m-%dT%H:%M:%S.000"), "UTC of the start")
    header["MJD-OBS"] = (round(exposure.mjd, 8), "[d] MJD of the start, UTC")
    header["TELESCOP"] = camera.telescope
    header["INSTRUME"] = camera.instrument
    header["RA"] = (round(exposure.ra_deg, 6), "[deg] pointing")
    header["DEC"] = (round(exposure.dec_deg, 6), "[deg] pointing")
    header["EQUINOX"] = 2000.0
    header["RADESYS"] = "ICRS"
    header["AIRMASS"] = (round(airmass, 4), "at the middle of the exposure")
    header["CCD-TEMP"] = (round(ccd_temp_c, 2), "[C] detector temperature")
    header["PROJECT"] = "survey"
    is_science = exposure.kind == "science"
    header["HIERARCH OAJ DPR CATG"] = "SCIENCE" if is_science else "CALIBRATION"
    header["HIERARCH OAJ DPR TYPE"] = DPR_TYPE[exposure.kind]
    if exposure.band:
        header["HIERARCH OAJ INS FILT NAME"] = exposure.band
        header["HIERARCH OAJ INS FILT SERIAL"] = f"{exposure.band}-{exposure.ccd}"
    header["HIERARCH OAJ INS PIXSCALE"] = camera.pixel_scale_arcsec
    header["HIERARCH OAJ DET CHIPID"] = exposure.ccd
    header["HIERARCH OAJ DET NX"] = camera.nx
    header["HIERARCH OAJ DET NY"] = camera.ny
    header["HIERARCH OAJ DET PSZX"] = 10.0
    header["HIERARCH OAJ DET PSZY"] = 10.0
    header["HIERARCH OAJ DET READ MODE"] = camera.defaults.get("readout_mode", "SLOW")
    header["HIERARCH OAJ DET READ SPEED"] = "1 MHz"
    header["HIERARCH OAJ DET READ CLOCK"] = "DSI 68, High Gain, 1x1"
    header["HIERARCH OAJ DET EXP TYPE"] = IMAGETYP[exposure.kind]
    header["HIERARCH OAJ DET REQTIM"] = exposure.stated_exptime_s
    header["HIERARCH OAJ DET OUTPUTS"] = len(camera.amplifiers)
    header.extend(_amplifiers(detector))
    return header


def _amplifiers(detector: Detector) -> list[fits.Card]:
    rows: list[fits.Card] = []
    for k, amp in enumerate(detector.camera.amplifiers):
        block: dict[str, str | int | float] = {
            "ID": str(amp.id),
            "X": amp.dest.x0 + 1,
            "Y": amp.dest.y0 + 1,
            "NX": amp.data.shape[1],
            "NY": amp.data.shape[0],
            "IMSC": amp.data.fits(),
        }
        for card, section in (
            ("PRSCX", amp.prescan), ("OVSCX", amp.overscan), ("OVSCY", amp.parallel),
        ):  # fmt: skip
            if section:
                block[card] = section.fits()
        block["GAIN"] = float(detector.header_gain[k])
        block["RON"] = float(detector.header_readnoise_e[k])
        block["SATUR"] = float(amp.saturation_adu)
        rows += [fits.Card(f"HIERARCH OAJ DET OUT{amp.id} {c}", v) for c, v in block.items()]
    return rows


def write(path: Path, raw: np.ndarray, header: fits.Header) -> None:
    """Write a raw frame whole or not at all; the same content gives the same bytes."""
    partial = path.with_name(path.name + ".part")
    fits.PrimaryHDU(raw, header=header).writeto(partial, overwrite=True)
    os.replace(partial, path)  # noqa: PTH105 - pathlib's replace is the same call
