"""The keys by which products are known, built and read in this one place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tesela.errors import LedgerError
from tesela.products.masterkind import KINDS

_UNSAFE = re.compile(r"[^A-Za-z0-9_+-]")
NO_FILTER = "-"


def clean(word: object) -> str:
    """Return `word` fit to be one part of a key: no dot, no space, never empty."""
    text = _UNSAFE.sub("_", str(word).strip())
    return text or NO_FILTER


@dataclass(frozen=True)
class Configuration:
    """What calibrations must share: telescope, camera, CCD, filter, read-out mode.

    `filter` names the physical filter, `<band>_<serial>`: a serial alone would make one flat of
    all bands wherever no card tells it. It is "-" where no filter matters.
    """

    telescope: str
    camera: str
    ccd: str
    filter: str
    readout_mode: str

    @classmethod
    def of(
        cls, telescope: object, camera: object, ccd: object, filter_name: object, mode: object
    ) -> Configuration:
        """Build from the words of a frame's header, made safe for keys."""
        return cls(clean(telescope), clean(camera), clean(ccd), clean(filter_name), clean(mode))

    def for_kind(self, master_kind: str) -> Configuration:
        """Return the configuration under which masters of this kind are filed."""
        if KINDS[master_kind].is_per_filter:
            return self
        return self.detector

    @property
    def detector(self) -> Configuration:
        """The configuration without the filter: CCD and read-out mode."""
        return Configuration(self.telescope, self.camera, self.ccd, NO_FILTER, self.readout_mode)

    def __str__(self) -> str:
        return ".".join((self.telescope, self.camera, self.ccd, self.filter, self.readout_mode))


@dataclass(frozen=True)
class MasterKey:
    """One master: its kind (BIAS, FLAT ...), configuration and first night ('2017-07-03')."""

    master_kind: str
    configuration: Configuration
    night: str

    def __str__(self) -> str:
        return f"{self.master_kind}.{self.configuration}.{self.night.replace('-', '')}"

    @classmethod
    def parse(cls, key: str) -> MasterKey:
        """Read a key written by `str`."""
        parts = key.split(".")
        if len(parts) != 7 or len(parts[6]) != 8 or not parts[6].isdigit():
            raise LedgerError(
                key,
                found=f"{len(parts)} parts",
                expected="KIND.telescope.camera.ccd.filter.mode.YYYYMMDD",
                do="see `tesela status` for the keys in use",
            )
        if parts[0] not in KINDS:
            raise LedgerError(
                key, found=f"a master of kind {parts[0]}", expected=f"one of {', '.join(KINDS)}"
            )
        day = parts[6]
        return cls(parts[0], Configuration(*parts[1:6]), f"{day[:4]}-{day[4:6]}-{day[6:]}")


class Scope(NamedTuple):
    """What the settings of a step may depend on; the words are fit for keys."""

    camera: str
    project: str
    obstype: str

    @classmethod
    def of(cls, camera: str, project: str, obstype: str, *, any_word: str = NO_FILTER) -> Scope:
        """Build from the words of a frame; an empty one becomes `any_word`."""
        return cls(*(clean(word) if word else any_word for word in (camera, project, obstype)))

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read a scope written by `str`."""
        return cls(*text.split("."))

    def __str__(self) -> str:
        return ".".join(self)


def calset_key(configuration: Configuration, profile: str, members: Iterable[str]) -> str:
    """Return the key of a set of masters: the same members always give the same key.

    Parameters
    ----------
    members : iterable of str
        "<key>#<version>" of each master; their order does not matter.
    """
    digest = hashlib.sha256("\n".join(sorted(members)).encode()).hexdigest()
    return f"{configuration}.{clean(profile)}.{digest[:16]}"


def is_of_profile(key: str, profile: str) -> bool:
    """Whether a calset's key is of a profile."""
    return key.split(".")[-2] == clean(profile)


def coadd_key(tile: str, band: str) -> str:
    """Return the key of a coadd and of its catalogue."""
    return f"{tile}.{band}"


def split_coadd_key(key: str) -> tuple[str, str]:
    """Return (tile, band) of a coadd's key; a tile's name may hold dots, a band's may not."""
    tile, dot, band = key.rpartition(".")
    if not (dot and tile and band):
        raise LedgerError(key, found="no tile or no band", expected="<tile>.<band>")
    return tile, band
