"""The preview of an image: the image and its mask at several scales, in one small file.

Extensions `IMAGEn` (float32, mean of n x n pixels) and `MASKn` (uint8, all codes within), n being
4, 8, 16 ... for a full frame. Who looks at a frame reads a level of it instead of all its pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files, maskbit
from tesela.products.files import Hdu

Level = tuple[NDArray[np.float32], NDArray[np.uint8]]

_STEPS_IN_NOISE = 4


def write(path: Path, levels: Mapping[int, Level], noise: float) -> None:
    """Write the levels, by the side of their bins.

    Values are kept to 1/8 of the noise of a bin, `noise` being that of a pixel of the image.
    """
    hdus = []
    for side, (image, mask) in sorted(levels.items()):
        step = max(noise, 0.0) / side / _STEPS_IN_NOISE
        about = [("BIN", side, "[pixel] side of a bin")]
        hdus.append(Hdu(f"IMAGE{side}", image, about, compress=True, step=step))
        hdus.append(Hdu(f"MASK{side}", mask, [*about, *maskbit.cards()], compress=True))
    files.write_fits(path, hdus)


def read(path: Path, size_px: int) -> Level:
    """The smallest level whose longest side has at least `size_px` pixels, or the largest there is.

    Raises `ProductError` if the file is missing, damaged or no preview.
    """
    shapes = files.image_shapes(path)
    sides = {
        int(name.removeprefix("IMAGE")): max(shape)
        for name, shape in shapes.items()
        if name.removeprefix("IMAGE").isdigit()
    }
    if not sides:
        raise ProductError(str(path), found="no extension IMAGEn", expected="a preview")
    fitting = [side for side, longest in sides.items() if longest >= size_px]
    side = max(fitting) if fitting else min(sides)
    names = [f"IMAGE{side}", f"MASK{side}"]
    data = files.read_fits(path, names).data
    return data[names[0]], data[names[1]]
