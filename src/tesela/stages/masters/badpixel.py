"""The bad pixels of a detector: what biases, darks and flats say, joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.pixels import defects
from tesela.pixels.detrend import NOTHING
from tesela.products.images import Master, Operation, card_dict
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare, enough
from tesela.stages.masters.inputs import CombinedInputs, MasterOutputs
from tesela.stages.masters.settings import BadPixelSettings

_CLASSES = {
    "hot_bias": "hot in the bias",
    "hot_dark": "hot in the dark",
    "response": "unlike their surroundings in flats",
    "columns": "gaps of bad columns, closed",
}


def build_badpixel(inputs: CombinedInputs, settings: BadPixelSettings) -> MasterOutputs:
    """Join hot pixels, pixels of deviating response and what lies between those of a column.

    Of the masters only the masks are needed: their images may be empty. A pixel of one flat alone
    may be a speck of dust on its filter; in flats of several filters it is the detector. Memory:
    six bytes a pixel beside the masks. Raises `QualityError` if there are too few masters and
    `BadInput` if one is of another shape.
    """
    parts = [part for kind in inputs.parts.values() for part in kind]
    enough.require(inputs, "badpixel", len(parts), {}, what="masters")
    for part in parts:
        _refuse_other_shape(part, inputs)
    found = {
        "hot_bias": _any_of(inputs.parts.get("BIAS", ()), inputs.camera.shape),
        "hot_dark": _any_of(inputs.parts.get("DARK", ()), inputs.camera.shape),
        "response": _response(inputs, settings),
    }
    bad = found["hot_bias"] | found["hot_dark"] | found["response"]
    found["columns"] = defects.join_columns(
        bad,
        gap_rows=settings.gap_rows,
        min_pixels=settings.column_pixels,
        min_fraction=settings.column_fraction,
    )
    bad |= found["columns"]
    mask = np.where(bad, np.uint8(MaskBit.BAD), np.uint8(0))
    agreement = compare.bad_pixels(mask, inputs.previous, settings)
    numbers = {name: int(np.count_nonzero(pixels)) for name, pixels in found.items()}
    n_bad = int(np.count_nonzero(mask))
    cards = [
        ("MSTKIND", "BADPIXEL", "kind of master"),
        ("NCOMBINE", len(parts), "masters joined"),
        ("NBAD", n_bad, "pixels marked bad"),
        *((f"TSL N {name.upper()}", numbers[name], says) for name, says in _CLASSES.items()),
    ]
    return MasterOutputs(
        Master("BADPIXEL", NOTHING, mask, cards),
        passed=not agreement.reasons,
        reasons=agreement.reasons,
        warnings=enough.warnings(inputs, len(parts), what="masters"),
        metrics={
            "n_combined": len(parts),
            "n_bad": n_bad,
            **{f"n_{name}": number for name, number in numbers.items()},
            "amplifiers": [
                {"amp": amp.id, "n_bad": int(np.count_nonzero(mask[amp.dest.slices]))}
                for amp in inputs.camera.amplifiers
            ],
            **agreement.metrics,
        },
        operations=[
            Operation("join", {"flats": settings.flats}),
            Operation("close columns", {"gap_rows": settings.gap_rows}),
        ],
    )


def _refuse_other_shape(part: Master, inputs: CombinedInputs) -> None:
    if part.mask.shape != inputs.camera.shape:
        raise BadInput(
            f"mask of a master {part.kind}",
            found=f"shape {part.mask.shape}",
            expected=f"{inputs.camera.shape}, the trimmed image",
            do="use masters of the same camera, read-out mode and binning",
        )


def _any_of(masters: Sequence[Master], shape: tuple[int, int]) -> NDArray[np.bool_]:
    bad = np.zeros(shape, bool)
    for master in masters:
        bad |= (master.mask & MaskBit.BAD) > 0
    return bad


def _response(inputs: CombinedInputs, settings: BadPixelSettings) -> NDArray[np.bool_]:
    """Pixels marked in flats of so many filters; flats of one filter, dome or sky, are one vote."""
    flats = [*inputs.parts.get("FLAT", ()), *inputs.parts.get("DOMEFLAT", ())]
    by_filter: dict[str, list[Master]] = {}
    for i, flat in enumerate(flats):
        band = str(card_dict(flat.cards).get("FILTER") or f"flat {i}")
        by_filter.setdefault(band, []).append(flat)
    votes = np.zeros(inputs.camera.shape, np.uint8)
    for masters in by_filter.values():
        votes += _any_of(masters, inputs.camera.shape)
    needed = max(1, min(settings.flats, len(by_filter)))
    return votes >= needed
