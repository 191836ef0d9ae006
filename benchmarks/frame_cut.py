"""A smaller camera made of some amplifiers of a larger one, and its share of raw frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from tesela import cameras
from tesela.cameras import Amplifier, Camera, Section

_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "BZERO", "BSCALE", "CHECKSUM", "DATASUM")


def camera_toml(full: Camera, amps: list[Amplifier], name: str) -> str:
    """The cut camera: only those amplifiers, pushed together in the image; values of the TOML."""
    x0, y0 = _origin(amps)
    nx, ny = _size(amps)
    lines = [
        f'name = "{name}"', f'telescope = "{full.telescope}"', f'telescope_code = "{name}"',
        f'instrument = "{full.instrument}"', f'instruments = ["{full.instrument}"]',
        f"raw_nx = {_raw_width(amps)}", f"raw_ny = {full.raw_ny}", f"nx = {nx}", f"ny = {ny}",
        f"pixel_scale_arcsec = {full.pixel_scale_arcsec}", "cd_signs = [[-1, 0], [0, 1]]",
        'ccds = ["01"]', 'equinox = "ICRS"', "longitude_deg = -1.0163", "[header]",
        'serial = ["OAJ INS FILT SERIAL"]', 'readout_mode = ["OAJ DET READ MODE"]',
        'ccd = ["OAJ DET CHIPID"]', "[defaults]", 'serial = "-"', 'readout_mode = "SLOW"',
        'ccd = "01"', "[imagetypes]", 'BIAS = { obstype = "bias" }',
        'SKYFLAT = { obstype = "flat", flat_kind = "sky" }', 'OBJECT = { obstype = "science" }',
    ]  # fmt: skip
    left = _raw_left(amps)
    for amp in amps:
        dest = _moved(amp.dest, -x0, -y0)
        lines += [
            "[[amplifiers]]", f"id = {amp.id}", f'data = "{_moved(amp.data, -left).fits()}"',
            f'dest = "{dest.fits()}"', f'overscan = "{_moved(amp.overscan, -left).fits()}"',
            f"gain_e_per_adu = {amp.gain_e_per_adu}", f"readnoise_e = {amp.readnoise_e}",
            f"saturation_adu = {amp.saturation_adu}", f"flip_x = {str(amp.flip_x).lower()}",
            f"flip_y = {str(amp.flip_y).lower()}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def cut_frames(raw: Path, out: Path, full: Camera, amps: list[Amplifier]) -> None:
    """Write the share of every raw frame, its pointing moved to the middle of what is left."""
    out.mkdir(parents=True)
    left = _raw_left(amps)
    for path in sorted(raw.glob("*.fits")):
        pixels = fitsio.read(str(path))[:, left : left + _raw_width(amps)]
        header = fitsio.read_header(str(path))
        cards = [
            {"name": r["name"], "value": _card(r, full, amps), "comment": r.get("comment", "")}
            for r in header.records()
            if not str(r["name"]).startswith(_STRUCTURE) and " OUT" not in str(r["name"])
        ]
        with fitsio.FITS(str(out / path.name), "rw") as fits:
            fits.write_image(np.ascontiguousarray(pixels), header=cards)
            fits[0].write_checksum()


def choose(part: int) -> tuple[Camera, list[Amplifier]]:
    """T80Cam and those of its amplifiers that make 1 / `part` squared of it: 1, 4 or 16."""
    full = cameras.load("t80cam")
    ids = {1: range(1, 17), 2: (4, 5, 12, 13), 4: (4,)}[part]
    return full, [amp for amp in full.amplifiers if amp.id in ids]


def _card(record: Any, full: Camera, amps: list[Amplifier]) -> Any:
    value = record["value"]
    x0, y0 = _origin(amps)
    nx, ny = _size(amps)
    scale = full.pixel_scale_arcsec / 3600
    if record["name"] == "DEC":
        return value + (y0 + ny / 2 - full.shape[0] / 2) * scale
    if record["name"] == "RA":  # of a frame at a declination of 55 degrees: near enough
        return value - (x0 + nx / 2 - full.shape[1] / 2) * scale / np.cos(np.radians(55.1))
    return value


def _moved(section: Section | None, dx: int, dy: int = 0) -> Section:
    if section is None:
        raise ValueError("an amplifier without overscan")
    return Section(section.x0 + dx, section.x1 + dx, section.y0 + dy, section.y1 + dy)


def _origin(amps: list[Amplifier]) -> tuple[int, int]:
    return min(amp.dest.x0 for amp in amps), min(amp.dest.y0 for amp in amps)


def _size(amps: list[Amplifier]) -> tuple[int, int]:
    x0, y0 = _origin(amps)
    return max(amp.dest.x1 for amp in amps) - x0, max(amp.dest.y1 for amp in amps) - y0


def _raw_left(amps: list[Amplifier]) -> int:
    return min(section.x0 for amp in amps for section in (amp.data, amp.overscan) if section)


def _raw_width(amps: list[Amplifier]) -> int:
    right = max(section.x1 for amp in amps for section in (amp.data, amp.overscan) if section)
    return right - _raw_left(amps)
