"""The images of the pipeline and their files: masters, reduced images, coadds.

A reduced image is one FITS file: IMAGE (electrons, float32, sky subtracted), MASK (uint8, the
seven codes, compressed without loss), VARIANCE (electrons squared, float32), then SKY (the coarse
mesh of what was subtracted), PSF and SOURCES. Readers go by the names of the extensions. An image
of the profile `detrended` has the same form; its sky is modelled but left in, and SKYSUB is F.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files, maskbit, starlist
from tesela.products.files import Card, Hdu

Table = dict[str, NDArray[Any]]

STEPS_IN_NOISE = 16
"""Steps of a reduced image in the noise of its sky: they add 1/3000 to its variance."""
STEPS_IN_VARIANCE = 100
"""Steps of the variance in that of the sky."""

_SCALE_CARDS = ("MAGZP", "MAGZPERR", "COLCOEF", "COLPIVOT")
_WCS_CARD = re.compile(r"CRVAL[12]|CRPIX[12]|CD[12]_[12]|PV[12]_\d+")


@dataclass(frozen=True)
class Operation:
    """Something that was done to the pixels, with its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def operation_cards(operations: Sequence[Operation]) -> list[Card]:
    """`HIERARCH TSL OPn NAME` and its parameters, in the order they were done."""
    cards: list[Card] = []
    for n, operation in enumerate(operations, 1):
        cards.append((f"TSL OP{n} NAME", operation.name, ""))
        for key, value in operation.parameters.items():
            cards.append((f"TSL OP{n} {key.upper()}", _card_value(value), ""))
    return cards


def _card_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return " ".join(str(v) for v in value)[:60]
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return value


@dataclass
class Psf:
    """A point-spread function as stored: named arrays and numbers that `pixels.psf` understands."""

    arrays: dict[str, NDArray[Any]]
    numbers: dict[str, float]

    def hdu(self) -> Hdu:
        """One row whose cells are the arrays."""
        return Hdu(
            "PSF", _one_row(self.arrays), [(f"TSL {k}", v, "") for k, v in self.numbers.items()]
        )

    @classmethod
    def from_hdu(cls, data: NDArray[Any], cards: Mapping[str, Any]) -> Psf:
        """The inverse of `hdu`."""
        arrays = {name: np.ascontiguousarray(data[name][0]) for name in data.dtype.names or ()}
        prefix = "TSL "
        return cls(
            arrays, {k[len(prefix) :].lower(): v for k, v in cards.items() if k.startswith(prefix)}
        )


def _one_row(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    kinds = [(k, np.asarray(v).dtype, np.shape(v)) for k, v in arrays.items()]
    row = np.zeros(1, dtype=kinds)
    for name, value in arrays.items():
        row[name][0] = value
    return row


def to_records(table: Table) -> NDArray[Any]:
    """Columns of equal length as a structured array; cells may be vectors."""
    kinds = [(k, v.dtype.str, v.shape[1:]) for k, v in table.items()]
    n = len(next(iter(table.values()))) if table else 0
    records = np.zeros(n, dtype=kinds)
    for name, values in table.items():
        records[name] = values
    return records


def to_columns(records: NDArray[Any]) -> Table:
    """The inverse of `to_records`."""
    return {name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()}


@dataclass
class Master:
    """A combined calibration frame in the geometry of the trimmed image, or numbers alone.

    `image` is float32: ADU for a bias, electrons a second for a dark, relative response (1 on
    average) for a flat, relative to the sky for fringes and patterns; (0, 0) for kinds that hold
    only `arrays`. `mask` is uint8 with `MaskBit.BAD` where the detector cannot be trusted and
    `MaskBit.HOLE` where a pattern has no data; it may be empty too.

    `arrays` are named float arrays:

    LINEARITY     `coefficients` (n_amp, k): true = x (1 + sum_k c_k (x / pivot)^(k+1)), x in ADU
                  above bias; `pivot_adu` (1,)
    CROSSTALK     `matrix` and `error` (n_amp, n_amp), [victim, aggressor], electron per electron
    ILLUMINATION  `map` and `error` (my, mx), mag, instrumental minus true: nodes spread evenly from
                  the centre of the first pixel to that of the last
    """

    kind: str
    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    cards: list[Card] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write IMAGE, MASK and ARRAYS, those that are not empty."""
        hdus = []
        cards: list[Card] = [("BUNIT", _MASTER_UNITS.get(self.kind, ""), ""), *self.cards]
        if self.image.size:
            hdus.append(Hdu("IMAGE", self.image, cards))
        if self.mask.size:
            mask_cards = maskbit.cards() if self.image.size else [*maskbit.cards(), *cards]
            hdus.append(Hdu("MASK", self.mask, mask_cards, compress=True))
        if self.arrays:
            hdus.append(Hdu("ARRAYS", _one_row(self.arrays), [] if hdus else cards))
        files.write_fits(path, hdus)

    @classmethod
    def read(cls, path: Path, *, with_image: bool = True) -> Master:
        """Read a master back; without its image where only the mask is of use."""
        fits = files.read_fits(path, None if with_image else ["MASK"])
        first = next((name for name in ("IMAGE", "MASK", "ARRAYS") if name in fits.cards), None)
        if first is None:
            raise ProductError(
                str(path), found="no extension IMAGE, MASK or ARRAYS", expected="a master"
            )
        cards = fits.cards[first]
        row = fits.data.get("ARRAYS")
        return cls(
            str(cards.get("MSTKIND", "")),
            fits.data.get("IMAGE", np.empty((0, 0), np.float32)),
            fits.data.get("MASK", np.empty((0, 0), np.uint8)),
            [(k, v, "") for k, v in cards.items()],
            {}
            if row is None
            else {n: np.ascontiguousarray(row[n][0]) for n in row.dtype.names or ()},
        )

    def data_hash(self) -> str:
        """Hash of the pixels and numbers."""
        return files.data_hash(
            {
                "IMAGE": self.image,
                "MASK": self.mask,
                **{f"ARRAYS.{k}": v for k, v in self.arrays.items()},
            }
        )


_MASTER_UNITS = {"BIAS": "adu", "DARK": "electron/s"}


@dataclass
class ReducedImage:
    """A calibrated frame. Arrays are (ny, nx); electrons, sky subtracted.

    Where the card SKYSUB is F, the image still holds the sky (profile `detrended`).
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    variance: NDArray[np.float32]
    sky_mesh: NDArray[np.float32]
    """(2, my, mx): coarse maps of the sky (electrons) and of its variance without sources
    (electrons squared); the card `SKYMESH` tells their pitch."""
    psf: Psf
    sources: Table
    """Columns of `products.starlist.SOURCES`."""
    cards: list[Card]
    apertures_arcsec: tuple[float, ...] = ()
    """Diameters of `flux_aper`; the last is that of the zero point."""

    def write(self, path: Path) -> None:
        """Write the six extensions; image and variance in steps far below the noise of the sky.

        Every pixel of IMAGE keeps its value to 1/32 of that noise, of VARIANCE to 1/200 of that of
        the sky; the steps are in the headers.
        """
        sky_variance = float(np.median(self.sky_mesh[1]))
        fine = float(np.sqrt(max(sky_variance, 0.0)) / STEPS_IN_NOISE)
        coarse = max(sky_variance, 0.0) / STEPS_IN_VARIANCE
        unit, unit2 = ("BUNIT", "electron", ""), ("BUNIT", "electron2", "")
        note = "values are stored in such steps"
        files.write_fits(
            path,
            [
                Hdu(
                    "IMAGE",
                    self.image,
                    [unit, ("TSL STEP", fine, note), *self.cards],
                    compress=True,
                    step=fine,
                ),
                Hdu("MASK", self.mask, maskbit.cards(), compress=True),
                Hdu(
                    "VARIANCE",
                    self.variance,
                    [unit2, ("TSL STEP", coarse, note)],
                    compress=True,
                    step=coarse,
                ),
                Hdu(
                    "SKY",
                    self.sky_mesh,
                    [("PLANE1", "sky, electron", ""), ("PLANE2", "variance", "")],
                ),
                self.psf.hdu(),
                Hdu(
                    "SOURCES",
                    to_records(self.sources),
                    starlist.cards(tuple(self.sources), self.apertures_arcsec),
                ),
            ],
        )

    @classmethod
    def read(cls, path: Path) -> ReducedImage:
        """Read a reduced image back."""
        fits = files.read_fits(path, ["IMAGE", "MASK", "VARIANCE", "SKY", "PSF", "SOURCES"])
        return cls(
            fits.data["IMAGE"],
            fits.data["MASK"],
            fits.data["VARIANCE"],
            fits.data["SKY"],
            Psf.from_hdu(fits.data["PSF"], fits.cards["PSF"]),
            to_columns(fits.data["SOURCES"]),
            [(k, v, "") for k, v in fits.cards["IMAGE"].items()],
            starlist.apertures_of(fits.cards["SOURCES"]),
        )

    def data_hash(self) -> str:
        """Hash of pixels (as they were before they are stored in steps), sky, PSF, source list and
        the numbers that scale and place them."""
        return files.data_hash(
            {
                "IMAGE": self.image,
                "MASK": self.mask,
                "VARIANCE": self.variance,
                "SKY": self.sky_mesh,
                **{f"PSF.{k}": v for k, v in self.psf.arrays.items()},
                **{f"SOURCES.{k}": v for k, v in self.sources.items()},
            },
            _meaning(self.cards),
        )


class FileRows:
    """An image of an open file, of which bands of rows are read when it is sliced."""

    def __init__(self, path: Path, hdu: Any) -> None:
        self._path, self._hdu = path, hdu
        ny, nx = hdu.get_dims()
        self.shape = (int(ny), int(nx))

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows as an array of their own.

        Raises `ProductError` if the file is damaged there.
        """
        first, last, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"rows in steps of {step}: bands of rows are read whole")
        last = max(first, last)
        try:
            # A band without rows comes back without columns.
            band = self._hdu[first:last, :].reshape(last - first, self.shape[1])
        except (OSError, ValueError) as error:
            raise _damaged(self._path, error) from error
        return np.ascontiguousarray(band)


@dataclass(frozen=True)
class DetrendedFile:
    """A file of the profile `detrended`, open: pixels are read when they are sliced."""

    image: FileRows
    """(ny, nx) float32, electrons, the sky in it."""
    mask: FileRows
    """(ny, nx) uint8."""
    cards: dict[str, Any]
    """Of IMAGE."""
    sources: Table


@contextlib.contextmanager
def open_detrended(path: Path) -> Iterator[DetrendedFile]:
    """Open a detrended image once, for builders that combine many by bands of rows.

    Cards and star list are read at once, variance, sky and PSF never. Raises `ProductError` if the
    file is missing, damaged, or an image whose sky was subtracted.
    """
    if not path.is_file():
        raise ProductError(str(path), found="no such file", do="have the frame detrended again")
    with contextlib.ExitStack() as stack:
        try:
            fits = stack.enter_context(fitsio.FITS(stack.enter_context(files.plain_name(path))))
            cards = files.header_cards(fits["IMAGE"])
            sources = to_columns(fits["SOURCES"].read())
            image, mask = FileRows(path, fits["IMAGE"]), FileRows(path, fits["MASK"])
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if cards.get("SKYSUB", True):
            raise ProductError(
                str(path),
                found="an image whose sky was subtracted, or may have been",
                expected="SKYSUB = F, as the profile `detrended` leaves it",
            )
        yield DetrendedFile(image, mask, cards, sources)


def _damaged(path: Path, error: Exception) -> ProductError:
    return ProductError(str(path), found=str(error), expected="a whole FITS file")


@dataclass
class Coadd:
    """A tile in one band. Electrons per second on the scale of `MAGZP`; all (ny, nx).

    `weight` is the inverse variance of sky, read noise, flat and scale alone (0: no data);
    `variance` includes the photons of the sources; `mask` carries what all or any inputs said
    (saturated cores are flagged, not punched out); `count` is the number of inputs.
    """

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.uint8]
    count: NDArray[np.uint8]
    psf: Psf
    cards: list[Card]

    def write(self, path: Path) -> None:
        """Write the six extensions."""
        files.write_fits(
            path,
            [
                Hdu("IMAGE", self.image, [("BUNIT", "electron/s", ""), *self.cards]),
                Hdu("MASK", self.mask, maskbit.cards(), compress=True),
                Hdu("WEIGHT", self.weight, [("BUNIT", "s2/electron2", "")]),
                Hdu("VARIANCE", self.variance, [("BUNIT", "electron2/s2", "")]),
                Hdu("COUNT", self.count, compress=True),
                self.psf.hdu(),
            ],
        )

    @classmethod
    def read(cls, path: Path) -> Coadd:
        """Read a coadd back."""
        fits = files.read_fits(path, ["IMAGE", "MASK", "WEIGHT", "VARIANCE", "COUNT", "PSF"])
        return cls(
            fits.data["IMAGE"],
            fits.data["WEIGHT"],
            fits.data["VARIANCE"],
            fits.data["MASK"],
            fits.data["COUNT"],
            Psf.from_hdu(fits.data["PSF"], fits.cards["PSF"]),
            [(k, v, "") for k, v in fits.cards["IMAGE"].items()],
        )

    def data_hash(self) -> str:
        """Hash of the pixels and the PSF, and of the numbers that scale and place them."""
        return files.data_hash(
            {
                "IMAGE": self.image,
                "WEIGHT": self.weight,
                "VARIANCE": self.variance,
                "MASK": self.mask,
                "COUNT": self.count,
                **{f"PSF.{k}": v for k, v in self.psf.arrays.items()},
            },
            _meaning(self.cards),
        )


def _meaning(cards: Sequence[Card]) -> dict[str, Any]:
    """The numeric cards without which pixels mean nothing: where they are and how bright."""
    return {
        key: value
        for key, value, _ in cards
        if (key in _SCALE_CARDS or _WCS_CARD.fullmatch(key)) and not isinstance(value, str)
    }


def card_dict(cards: Sequence[Card]) -> dict[str, Any]:
    """Cards as keyword -> value."""
    return {key: value for key, value, _ in cards}
