"""What the masters' builders can be told: a table for each kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from tesela.stages.masters import setting_limits


@dataclass(frozen=True)
class BiasSettings:
    """Combining biases."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    level_tolerance_adu: float = 50.0
    """A bias with an amplifier whose overscan is further than this from its median over all is
    rejected: levels drift with the electronics' temperature, and the overscan takes that out."""
    levelled_tolerance_adu: float = 0.4
    """And one with an amplifier that is further than this from its median once the overscan is
    taken off, and further than five of its errors: nothing else takes that out."""
    noise_tolerance: float = 0.25
    """And one with an amplifier whose noise differs by this fraction from its median."""
    structure_adu: float = 0.7
    """And one whose mean rows or columns differ from the usual ones by this, rms."""
    hot_sigma: float = 6.0
    """A pixel this far from its surroundings is bad."""
    neighbourhood_px: int = 32
    """Side of the cells whose level is the surroundings."""
    compare_sigma: float = 6.0
    """A new master agrees with its predecessor if this many sigma ..."""
    compare_fraction: float = 0.95
    """... hold for this fraction of the pixels (the rule of BANZAI, LCO)."""
    max_bad: float = 0.02
    """With a larger share of the pixels marked bad, a person is asked."""
    max_rejected: float = 0.5
    """And with a larger share of the frames rejected."""


@dataclass(frozen=True)
class DarkSettings:
    """Combining darks."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    level_e_per_s: float = 0.05
    """A dark with an amplifier this far from its median over all, and further than five of its
    errors, is rejected: a leak of light."""
    level_e: float = 0.5
    """How well the overscan gives the level of a frame, electrons: part of that error, with the
    read noise; a short exposure divides it by few seconds."""
    hot_sigma: float = 6.0
    """A pixel this far above its surroundings ..."""
    hot_e_per_s: float = 0.1
    """... and by this much is bad."""
    neighbourhood_px: int = 32
    """Side of the cells whose level is the surroundings."""
    change_e_per_s: float = 0.02
    """A dark agrees if no amplifier's median differs from the predecessor's by more than this."""
    max_bad: float = 0.02
    """With a larger share of the pixels marked bad, a person is asked."""
    max_rejected: float = 0.5
    """And with a larger share of the frames rejected."""


@dataclass(frozen=True)
class FlatSettings:
    """Combining flats of the sky or the dome."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    level_adu: tuple[float, float] = (5000.0, 50000.0)
    """Flats outside this range of levels are rejected, with the reason."""
    saturated: float = 0.01
    """And those with more than this fraction of saturated pixels."""
    dim: float = 0.05
    """And those of which this fraction gets less than half the light: a shutter half open."""
    shape: float = 0.03
    """And those whose light on large scales differs from the others' by this fraction."""
    stars_per_mpix: float = 30.0
    """And those with more compact sources than this (ten are always forgiven)."""
    low: float = 0.92
    """A pixel below this times its surroundings is bad (cold)."""
    high: float = 1.08
    """And one above this times its surroundings (hot)."""
    column: float = 0.02
    """A column is bad where 64 rows of it differ by this fraction from their surroundings."""
    neighbourhood_px: int = 21
    """Side of the cells whose level is the surroundings."""
    change: float = 0.01
    """A flat agrees if its ratio to the predecessor scatters by less than this ..."""
    change_amplifier: float = 0.01
    """... has a median in every amplifier that is one to this ..."""
    change_shape: float = 0.02
    """... and on large scales differs by less than this."""
    max_bad: float = 0.02
    """With a larger share of the pixels marked bad, a person is asked."""
    max_rejected: float = 0.5
    """And with a larger share of the frames rejected."""


@dataclass(frozen=True)
class BadPixelSettings:
    """Joining what biases, darks and flats say of pixels."""

    flats: int = 2
    """A pixel unlike its surroundings in this many filters is bad; in all, where there are
    fewer."""
    gap_rows: int = 16
    """Bad pixels of a column no further apart belong to one defect ..."""
    column_pixels: int = 8
    """... if they are at least as many ..."""
    column_fraction: float = 0.5
    """... and this part of its length; its gaps are bad too."""
    max_fraction: float = 0.01
    """With more of the detector bad, a person is asked."""
    change: float = 0.002
    """And with this fraction of its pixels other than in the predecessor."""


@dataclass(frozen=True)
class LinearitySettings:
    """The response of the amplifiers against level, from exposure ramps."""

    degree: int = 2
    """Terms of the polynomial beyond the linear one."""
    pivot_adu: float = 60000.0
    """Level at which a coefficient is the fraction that its term adds."""
    level_adu: tuple[float, float] = (500.0, 60000.0)
    """Frames with a median level above bias outside this range are rejected, with the reason."""
    min_levels: int = 6
    """Fewer different exposure times are no ramp."""
    min_range: float = 8.0
    """Nor is a ramp whose brightest level is less than this times its faintest."""
    part: float = 0.6
    """Central part of each side of an amplifier over which its level is taken."""
    fit_shutter: bool = True
    """Fit an offset of the exposure time, common to all frames."""
    shutter_sigma_s: float = 0.05
    """How large that offset may be expected to be."""
    lamp_sigma: float = 0.001
    """Scatter of the lamp from frame to frame to begin with; then measured."""
    clip_sigma: float = 5.0
    """A frame whose lamp is further off than this is rejected, and so is a single level."""
    max_error: float = 0.003
    """Error of the correction at any level of the ramp that may still be certified."""
    max_residual_mmag: float = 2.0
    """And the slope of what is left, millimagnitudes a magnitude."""
    max_correction: float = 0.1
    """And the largest correction, as a fraction."""
    change: float = 0.003
    """A correction agrees with its predecessor within this, at any level."""
    max_rejected: float = 0.5
    """With a larger share of the frames rejected, a person is asked."""


@dataclass(frozen=True)
class CrosstalkSettings:
    """Ghosts of bright sources in other amplifiers."""

    source_e: float = 2000.0
    """Only surroundings of pixels brighter than this above their sky are used."""
    mesh_px: int = 64
    """Cells of the sky that is removed from each amplifier first."""
    clip_sigma: float = 4.0
    """A pixel further than this from its expected ghost is left out."""
    object_sigma: float = 6.0
    """Pixels brighter than this, and what is near them, are no victims."""
    guard_px: int = 0
    """Pixels around saturated ones that are left out too; those beside the top of a 16-bit scale
    are sound."""
    use_saturated: bool = True
    """Use the ghosts of saturated stars, whose ratios hold whatever their brightness was."""
    frame_chi2: float = 2.5
    """A frame whose coefficients differ more than this from the median of all (chi squared per
    coefficient, where there are many) is rejected."""
    max_error: float = 2e-5
    """Typical error of a coefficient that may still be certified."""
    largest: float = 5e-3
    """A coefficient above this is no crosstalk."""
    compare_sigma: float = 5.0
    """A coefficient agrees with its predecessor within this many errors or ..."""
    change: float = 3e-5
    """... within this."""


@dataclass(frozen=True)
class IlluminationStars:
    """Stars of the illumination correction."""

    min_snr: float = 50.0
    """Least signal-to-noise of a star in an image."""
    isolation_arcsec: float = 6.0
    """No star has a neighbour this near ..."""
    isolation_share: float = 0.02
    """... of more than this share of its flux."""
    match_arcsec: float = 1.0
    """Stars that are not in the reference are the same this near each other."""
    min_stars: int = 30
    """An image with fewer is rejected."""


@dataclass(frozen=True)
class IlluminationFit:
    """The surface, and how far what disturbs it is expected to go."""

    degree: int = 4
    """Total degree of the polynomial."""
    grid: int = 12
    """Intervals along each axis of the spline of what the polynomial leaves; 0 for none."""
    plane: bool = True
    """Without, the map has no plane, and needs neither reference nor photometric sequence."""
    floor_mag: float = 0.005
    """Added in quadrature to the error of every observation."""
    gradient_mag: float = 0.002
    """Gradients of thin clouds over an image, centre to edge; they average down over images."""
    reference_floor_mag: float = 0.005
    """Least error of a reference magnitude; its scatter is estimated beside it."""
    reference_shared_mag: float = 0.005
    """Errors of the reference that stars within a degree share."""
    photometric_mag: float = 0.0
    """Zero points of a night's images, at airmasses within 0.1, agree to this; 0 if unknown."""


@dataclass(frozen=True)
class IlluminationGates:
    """When an image is left out, and when a map needs a person."""

    image_scatter_mag: float = 0.03
    """An image whose stars scatter more, and twice as much as usual, is rejected (clouds)."""
    image_patch_mag: float = 0.02
    """An image with a sixteenth of it off by more is rejected (patches of cloud)."""
    image_gradient_mag: float = 0.015
    """An image with a steeper gradient, centre to edge, is rejected."""
    rms_mag: float = 0.005
    """The residuals, averaged over a sixteenth of each side, scatter by less ..."""
    plane_error_mag: float = 0.012
    """... the plane is known better than this across the CCD ..."""
    change_mag: float = 0.01
    """... the map differs by less from the previous one of the same epoch ..."""
    empty_share: float = 0.02
    """... at most this share of the CCD, in 8 x 8 cells, has fewer than five stars ..."""
    rejected_share: float = 0.2
    """... and no more than this share of the images disagrees with the map."""


@dataclass(frozen=True)
class IlluminationSettings:
    """The illumination correction."""

    stars: IlluminationStars = field(default_factory=IlluminationStars)
    fit: IlluminationFit = field(default_factory=IlluminationFit)
    gates: IlluminationGates = field(default_factory=IlluminationGates)


@dataclass(frozen=True)
class PatternSettings:
    """Fringes and fixed patterns of the sky."""

    bin_px: int = 4
    """The pattern is sought on blocks of so many pixels: well below the scale of the fringes."""
    sky_mesh_px: int = 512
    """Side of the cells of each frame's sky, a third of the CCD at the most: what is wider is sky,
    not pattern."""
    cell_px: int = 256
    """Side of the cells in which a frame's amplitude is measured: wider than a fringe."""
    object_grow_px: int = 4
    """Objects are masked this much further out: their faint wings."""
    clip_sigma: float = 3.0
    """A value further than this from the median of its place is left out."""
    iterations: int = 3
    """Rounds of pattern and amplitudes, each from the other."""
    min_exptime_s: float = 20.0
    """Shorter exposures are left out."""
    sky_e: tuple[float, float] = (100.0, 20000.0)
    """So are frames whose sky, electrons a pixel, is outside this range,"""
    min_free: float = 0.2
    """or with a smaller part of their pixels free of objects and defects (crowded fields),"""
    max_gradient: float = 0.3
    """or whose sky varies over the CCD by more than this part of it (the moon),"""
    amplitude: tuple[float, float] = (0.3, 3.0)
    """or in which the pattern is so many times weaker or stronger than in most."""
    min_fields: int = 3
    """Fewer fields are refused: what they hold would be taken for a pattern of the camera."""
    field_separation_arcmin: float = 0.0
    """Pointings this far apart are two fields; 0: half the shorter side of the CCD."""
    min_values: int = 3
    """A block seen in fewer frames is a hole."""
    significance: float = 5.0
    """A pattern passes if one half of the fields shows that of the other by so many sigma,"""
    min_correlation: float = 0.8
    """if it is as much like its predecessor as this correlation says,"""
    max_holes: float = 0.05
    """and if no more of the CCD than this are holes."""


@dataclass(frozen=True)
class StabilitySettings:
    """When the pages of a flat call its change an alert."""

    warn: float = 0.005
    """An amplifier that changed by more than this against the whole CCD, or a half of the CCD
    against the other, is a warning ..."""
    alarm: float = 0.009
    """... and by more than this an alarm: a drift of 1 % may not slip by a hair."""
    tilt_warn: float = 0.015
    """A plane through the amplifiers that is tilted by more than this from edge to edge is a
    warning (the twilights of two evenings differ by some tenths of a percent, rarely by 1 %) ..."""
    tilt_alarm: float = 0.025
    """... and by more than this an alarm."""
    radial_bins: int = 12
    """Rings around the centre of the CCD, of equal area; they obey the same two limits."""
    dust_depth: float = 0.004
    """A compact region that changed by this is dust that came or went: an alarm."""
    dust_px: float = 15.0
    """Smallest extent of such a region, pixels."""
    dust_share: float = 0.13
    """Largest extent, as a part of the shorter side of the CCD (1200 pixels of T80Cam): shadows
    grow with the distance from the CCD. Surroundings are measured on a mesh a little wider."""
    dust_sigma: float = 6.0
    """It must also stand out by this many times the noise of the smoothed ratio."""


@dataclass(frozen=True)
class MastersSettings:
    """Settings of the step `master`."""

    bias: BiasSettings = field(default_factory=BiasSettings)
    dark: DarkSettings = field(default_factory=DarkSettings)
    flat: FlatSettings = field(default_factory=FlatSettings)
    badpixel: BadPixelSettings = field(default_factory=BadPixelSettings)
    linearity: LinearitySettings = field(default_factory=LinearitySettings)
    crosstalk: CrosstalkSettings = field(default_factory=CrosstalkSettings)
    illumination: IlluminationSettings = field(default_factory=IlluminationSettings)
    fringe: PatternSettings = field(default_factory=PatternSettings)
    pattern: PatternSettings = field(default_factory=PatternSettings)
    stability: StabilitySettings = field(default_factory=StabilitySettings)

    def __post_init__(self) -> None:
        # Here, where each table has its name: fringes and patterns have the same settings.
        setting_limits.check(self, "steps.master")
