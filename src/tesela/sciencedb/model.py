"""What a release says of itself: its tables, columns, bands, tiles and files.

The model is written into the release as `release.json`. Whoever serves a release reads its
columns from there and not from the program, so that a release keeps the names, units and
descriptions that it was published with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tesela import config
from tesela.bands import filters
from tesela.errors import ProductError
from tesela.products.columns import PER_BAND, TABLES, band_order

FILE = "release.json"
FORMAT = 1


@dataclass(frozen=True)
class ColumnModel:
    """A published column."""

    name: str
    dtype: str
    """int8 ... int64, float32, float64, bool, str."""
    unit: str
    ucd: str
    description: str
    length: int = 1
    """More than 1: a vector in each row."""
    per_band: bool = False
    """The vector has one value a band, in the order of `ReleaseModel.bands`."""
    family: str = "core"
    required: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether a row holds an array: one value a band is one, also of a single band."""
        return self.per_band or self.length > 1


@dataclass(frozen=True)
class TableModel:
    """A published table."""

    name: str
    description: str
    columns: tuple[ColumnModel, ...]
    id_column: str = ""
    """Unique; empty if rows have no number."""
    on_sky: bool = False
    """Has `ra`, `dec` and `_healpix_29`, by which it is sorted."""

    def column(self, name: str) -> ColumnModel:
        """Return a column by name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families, `core` first."""
        return tuple(dict.fromkeys(column.family for column in self.columns))


@dataclass(frozen=True)
class BandModel:
    """A band and what is known of its curve."""

    name: str
    position: int
    """Place in arrays over bands, from 1."""
    pivot_nm: float | None = None
    fwhm_nm: float | None = None


@dataclass(frozen=True)
class TileModel:
    """A tile of the release."""

    name: str
    ra_deg: float
    dec_deg: float
    corners_deg: tuple[tuple[float, float], ...]
    bands: tuple[str, ...]
    """Bands with an image."""
    version: int
    """Of its objects in the working database."""
    data_hash: str = ""


@dataclass(frozen=True)
class FileModel:
    """A file of the release."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ReleaseModel:
    """The contents of `release.json`."""

    name: str
    title: str
    survey: str
    created: str
    """UTC, ISO 8601."""
    code_version: str
    detection_band: str
    bands: tuple[BandModel, ...]
    tables: tuple[TableModel, ...]
    tiles: tuple[TileModel, ...]
    rows: dict[str, int]
    """Number of rows of each table."""
    files: tuple[FileModel, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Area, epochs, colour recipe ... for pages to show."""
    format: int = FORMAT

    @property
    def band_names(self) -> tuple[str, ...]:
        """Bands in the order of arrays."""
        return tuple(band.name for band in self.bands)

    def table(self, name: str) -> TableModel:
        """Return a table by name."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def write(self, folder: Path) -> None:
        """Write `release.json`."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> ReleaseModel:
        """Read the model of a release; raises `ProductError` if it is not one of ours."""
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ProductError(
                str(path), found=str(error), expected="the folder of a release"
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ProductError(
                str(path), found="another format", expected=f"a release of format {FORMAT}"
            )
        return config.build(cls, content, path.name)


_DESCRIPTIONS = {
    "objects": "Sources of the detection band, measured in every band",
    "detections": "Sources found in each band by itself",
    "tiles": "What is known of each tile and band",
    "filters": "The bands",
}
_IDS = {"objects": "source_id", "detections": "detection_id"}


def published_tables(bands: Sequence[str]) -> tuple[TableModel, ...]:
    """Models of the published tables for a survey with these bands."""
    return tuple(table_model(name, bands) for name in _DESCRIPTIONS)


def table_model(name: str, bands: Sequence[str]) -> TableModel:
    """Model of one published table: `objects`, `detections`, `tiles` or `filters`."""
    columns = tuple(
        ColumnModel(
            name=c.name,
            dtype=c.dtype,
            unit=c.unit,
            ucd=c.ucd,
            description=c.description,
            length=len(bands) if c.length == PER_BAND else c.length,
            per_band=c.length == PER_BAND,
            family=c.family,
            required=c.required,
        )
        for c in TABLES[name].values()
    )
    return TableModel(
        name, _DESCRIPTIONS[name], columns, _IDS.get(name, ""), "_healpix_29" in TABLES[name]
    )


def band_models(bands: Sequence[str]) -> tuple[BandModel, ...]:
    """Bands in the order of arrays, with what our curves say of them."""
    known = filters.names()
    models = []
    for position, band in enumerate(band_order(bands), 1):
        curve = filters.load(band) if band in known else None
        models.append(
            BandModel(
                band,
                position,
                round(curve.pivot_A / 10, 3) if curve else None,
                round(curve.fwhm_A / 10, 3) if curve else None,
            )
        )
    return tuple(models)


def filters_table(models: Sequence[BandModel]) -> Mapping[str, list[Any]]:
    """Columns of the published table `filters`."""
    return {
        "band": [band.name for band in models],
        "position": [band.position for band in models],
        "pivot_wavelength": [band.pivot_nm for band in models],
        "fwhm_wavelength": [band.fwhm_nm for band in models],
    }
