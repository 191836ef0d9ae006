"""What the reduction takes, gives and can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.config import Reference
from tesela.pixels import pyramid
from tesela.products.frame import FrameFacts
from tesela.products.images import ReducedImage, Table
from tesela.stages.reduce.calset import Calset

CELLS_ALONG = 6  # as many as tell a gradient and a dark border from the level
CELL_PX = 64, 1024


@dataclass(frozen=True)
class SkySettings:
    """The sky model and the objects it leaves out."""

    mesh_px: int = 0
    """Side of the cells of the sky model; larger than any galaxy that is to be kept. 0: a sixth of
    the shorter side of the CCD, but from 64 to 1024 px."""
    threshold_sigma: float = 1.5
    """Detection threshold, in sigma of the sky at a pixel."""
    min_area_px: int = 5
    """Fewest connected pixels of a source."""
    object_grow_px: float = 4.0
    """Sources are grown by this before the sky is measured around them."""

    def cell_px(self, shape: tuple[int, ...]) -> int:
        """The side of a cell on a CCD of that shape: a small one has a gradient too."""
        return self.mesh_px or int(np.clip(min(shape) // CELLS_ALONG, *CELL_PX))


@dataclass(frozen=True)
class CosmicSettings:
    """L.A.Cosmic's limits."""

    enabled: bool = True
    """False leaves cosmic rays in, as for exposures of a few seconds."""
    sigclip: float = 4.5
    """Least significance of a hit."""
    sigfrac: float = 0.3
    """Its neighbours are taken from this fraction of it on."""
    objlim: float = 5.0
    """Least contrast against what a star of the frame's seeing could show."""


@dataclass(frozen=True)
class TrailSettings:
    """Trails of satellites and aircraft."""

    enabled: bool = True
    """False looks for none, as in fields of standard stars that nobody stacks."""
    threshold: float = 5.4
    """Least significance of a trail, all lines of the frame considered."""
    grow_px: float = 2.0
    """A trail is painted this much wider on each side."""


@dataclass(frozen=True)
class PsfSettings:
    """The model of the point-spread function."""

    degree: int = 2
    """Degree of the polynomials in x and y; less where stars are few."""
    max_stars: int = 300
    """The brightest suitable stars, spread over the field."""
    norm_radius_arcsec: float = 15.0
    """One normalisation in all bands, so that colours agree."""


@dataclass(frozen=True)
class AstrometrySettings:
    """How far the pointing may be off, and the distortion to fit."""

    degree: int = 3
    """Degree of the distortion; less where stars are few."""
    max_offset_arcsec: float = 120.0
    """How far the pointing may be off."""
    max_rotation_deg: float = 3.0
    """How far the camera may be turned from its nominal angle."""
    max_scale_error: float = 0.02
    """Relative error allowed on the pixel scale."""
    reference_margin_arcmin: float = 3.0
    """Reference stars are taken this far outside the field."""
    blind_orientation: bool = False
    """Whether position angle and parity of the camera are unknown: some seconds more a frame."""
    max_error_px: float = 1.0
    """A frame is refused if its stars leave the position of a corner as uncertain as this."""
    max_residual_arcsec: float = 0.07
    """A frame is refused if the stars of some place lie farther off, in the mean, than this (or 0.1
    pixel, if that is more)."""
    dcr_bands: tuple[str, ...] = ("u*", "g*")
    """Bands (patterns) in which refraction that depends on colour is fitted."""
    dcr_min_airmass: float = 1.05
    """It is not fitted nearer to the zenith than this."""


@dataclass(frozen=True)
class PhotometrySettings:
    """The frame's zero point."""

    aperture_arcsec: float = 6.0
    """Diameter of the aperture whose zero point is stated beside that of the PSF."""
    min_snr: float = 20.0
    """Stars of the zero point; where fewer than 30 have it, the 30 of highest S/N above 5."""
    floor_mag: float = 0.005
    """Added in quadrature to the error of every star."""


@dataclass(frozen=True)
class GateSettings:
    """What an image must be like to be used."""

    max_dim_fraction: float = 0.1
    """Part of the frame that may have less than half of the sky."""
    max_bad_fraction: float = 0.25
    """Part of the pixels that may be bad, dead amplifiers among them."""
    min_noise_ratio: float = 0.5
    """Least noise of a pixel over what its light and the read-out explain."""
    max_noise_ratio: float = 2.0
    """Greatest: beyond both, the counts are no electrons."""
    max_ellipticity: float = 0.3
    """Median 1 - b/a of the PSF."""
    min_transparency: float = 0.0
    """Least share of the light of a clear night, where the survey says what that is."""
    max_zeropoint_scatter_mag: float = 0.12
    """Robust scatter of its stars; above it the catalogue, the filter or the fluxes are wrong."""
    max_zeropoint_tilt_mag: float = 0.15
    """From edge to edge, of the zero point over the field."""
    max_colour_coefficient: float = 0.5
    """Magnitudes a magnitude of colour: a term that is steeper is that of another filter."""
    trailed_ellipticity: float = 0.5
    """Of bright sources, from which no PSF is looked for if they point the same way."""
    trailed_coherence: float = 0.8
    """How much they must point the same way: 1 is all."""


@dataclass(frozen=True)
class ReduceSettings:
    """Settings of the step `reduce`."""

    sky: SkySettings = field(default_factory=SkySettings)
    cosmics: CosmicSettings = field(default_factory=CosmicSettings)
    trails: TrailSettings = field(default_factory=TrailSettings)
    psf: PsfSettings = field(default_factory=PsfSettings)
    astrometry: AstrometrySettings = field(default_factory=AstrometrySettings)
    photometry: PhotometrySettings = field(default_factory=PhotometrySettings)
    gates: GateSettings = field(default_factory=GateSettings)


@dataclass
class ReduceInputs:
    """A raw frame with the calset and the reference that were chosen for it."""

    facts: FrameFacts
    header: dict[str, Any]
    pixels: NDArray[np.uint16] | NDArray[np.float32]
    """(ny_raw, nx_raw) ADU; of floats, NaN where there is no number."""
    camera: Camera
    calset: Calset
    """What the masters of this frame are made to by `calset.prepare`; frames share it."""
    refcat: Table
    reference: Reference
    """How this frame's band is found in the reference catalogue."""
    threads: int = 1
    """Threads that share the frame; the result does not depend on them."""


@dataclass
class ReduceOutputs:
    """The reduced image and what was measured on the way."""

    image: ReducedImage
    metrics: dict[str, Any]
    footprint: tuple[tuple[float, float], ...]
    """Corners by the fitted WCS."""
    picture: NDArray[np.uint8]
    """(h, w, 3) small picture with the mask in colour, first row at the top."""
    preview: dict[int, pyramid.Level]
    """Image and mask at several scales, by the side of a bin."""
    warnings: list[str] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)
    """Why the image is not to be used; it is kept."""
