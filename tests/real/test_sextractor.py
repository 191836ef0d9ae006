"""A real image beside the catalogue that SExtractor made of it."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.pixels import apertures, detect

pytestmark = pytest.mark.real

RADIUS_PX, THRESHOLD = 5.0, 1.5
COLUMNS = {
    "x": 1, "y": 2, "x_win": 3, "y_win": 4, "a": 11, "flux_aper": 12, "kron_radius": 14,
    "flux_auto": 15, "flux_radius": 18,
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(real_data: Path) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Ours and theirs of the detections in common, positions from 0."""
    folder = real_data / "frames_misc" / "sep"
    if not folder.is_dir():
        pytest.skip("no image with a catalogue of SExtractor among the real observations")
    image, sky, rms = (
        fitsio.read(folder / f"{name}.fits").astype(np.float32) for name in ("image", "back", "rms")
    )
    light = np.ascontiguousarray(image - sky)
    objects, _ = detect.extract(light, rms**2, None, threshold_sigma=THRESHOLD)
    # Without the labels: the catalogue was made with MASK_TYPE NONE.
    measured = apertures.measure(
        light, rms**2, None, None, objects, diameters_px=[2 * RADIUS_PX], subpixels=5
    )
    rows = np.loadtxt(folder / "image.cat")
    assert abs(len(objects["x"]) - len(rows)) <= 10
    theirs = {name: rows[:, k] for name, k in COLUMNS.items()}
    for name in ("x", "y", "x_win", "y_win"):
        theirs[name] = theirs[name] - 1
    tree = cKDTree(np.c_[objects["x"], objects["y"]])
    away, k = tree.query(np.c_[theirs["x"], theirs["y"]])
    both = (away < 0.3) & (theirs["flux_auto"] > 0)
    assert both.sum() > 0.85 * len(rows)
    ours = {name: values[k[both]] for name, values in {**objects, **measured}.items()}
    ours["flux_aper"] = ours["flux_aper"][:, 0]
    ours["kron_radius"] = np.fmax(2.5 * ours["kron_radius"], 3.5)
    return ours, {name: values[both] for name, values in theirs.items()}


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("flux_auto", 1e-5), ("flux_aper", 1e-5), ("a", 1e-3), ("flux_radius", 2e-3),
     ("kron_radius", 2e-3)],
)  # fmt: skip
def test_fluxes_and_shapes_are_those_of_the_catalogue(pair, name: str, tolerance: float) -> None:
    ours, theirs = pair
    assert np.median(np.abs(ours[name] / theirs[name] - 1)) < tolerance


@pytest.mark.parametrize(("name", "tolerance"), [("x", 1e-3), ("x_win", 2e-3), ("y_win", 2e-3)])
def test_positions_are_those_of_the_catalogue(pair, name: str, tolerance: float) -> None:
    ours, theirs = pair
    assert np.median(np.abs(ours[name] - theirs[name])) < tolerance
