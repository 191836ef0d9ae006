"""What the release stage takes and can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tesela.errors import BadInput
from tesela.products.columns import band_order

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done, and of how many."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ReleaseSettings:
    """Settings of the step `release`."""

    rows_per_partition: int = 500_000
    """At most so many rows in a Parquet file of a table on the sky."""
    moc_order: int = 13
    """Finest order of the coverage map, at most: a cell of 13 is 26 arcsec."""
    authority: str = "tesela.unregistered"
    """Begin of the identifiers that the image survey gets: a registered IVOA authority."""
    hips_order: int | None = None
    """Finest order of the image survey; none: by the pixels of the coadds."""
    jpeg_quality: int = 88
    preview_px: int = 1600
    """Longest side of the picture of the whole release."""
    tile_px: int = 900
    """Longest side of the pictures of tiles."""
    red: tuple[str, ...] = ("iSDSS", "J0660", "J0861", "zSDSS")
    green: tuple[str, ...] = ("J0515", "gSDSS", "rSDSS")
    blue: tuple[str, ...] = ("uJAVA", "J0378", "J0395", "J0410", "J0430")
    """Bands of the colour pictures; a survey with none of one colour gets its bands in thirds."""
    balance: tuple[float, float, float] = (0.75, 1.0, 1.7)
    """Factors on red, green and blue of these bands: the sun is about white."""
    planes_kept: int = 4
    """Tiles whose colour planes are held in memory at once (12 bytes a pixel each)."""


@dataclass(frozen=True)
class TileInput:
    """A tile of the working science database and its coadds."""

    name: str
    version: int
    """Of its objects in the working database."""
    ra_deg: float
    dec_deg: float
    corners_deg: tuple[tuple[float, float], ...]
    data_hash: str
    objects: Path
    detections: Path
    tiles: Path
    """Parquet files of the published tables."""
    coadds: Mapping[str, Path]
    """By band; the detection band must be there."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of coadds whose content is already known, by band."""
    code_versions: tuple[str, ...] = ()
    """Versions of the program that made the tile's products."""


@dataclass(frozen=True)
class ReleaseInputs:
    """All that a release is frozen from."""

    name: str
    title: str
    survey: str
    detection_band: str
    bands: tuple[str, ...]
    """In the order of the arrays in the tables."""
    created: str
    """UTC, ISO 8601."""
    code_version: str
    tiles: tuple[TileInput, ...]

    def __post_init__(self) -> None:
        names = [tile.name for tile in self.tiles]
        if not names or len(set(names)) < len(names):
            raise BadInput(
                f"release {self.name}",
                found=f"{len(names)} tiles, {len(set(names))} of different names",
                expected="at least one tile, each once",
            )
        if self.bands != band_order(self.bands):
            raise BadInput(
                f"release {self.name}",
                found=f"bands {', '.join(self.bands)}",
                expected=f"each once, in the order {', '.join(band_order(self.bands))}",
            )
        if self.detection_band not in self.bands:
            raise BadInput(
                f"release {self.name}",
                found=f"detection band {self.detection_band}",
                expected=f"one of {', '.join(self.bands)}",
            )
        for tile in self.tiles:
            if self.detection_band not in tile.coadds or set(tile.coadds) - set(self.bands):
                raise BadInput(
                    f"release {self.name}, tile {tile.name}",
                    found=f"coadds in {', '.join(sorted(tile.coadds)) or 'no band'}",
                    expected=f"{self.detection_band} and some of {', '.join(self.bands)}",
                    do="make the missing coadd or leave the tile out",
                )
