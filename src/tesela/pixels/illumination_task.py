"""The observations of stars as the fit of the illumination takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tesela.errors import QualityError
from tesela.pixels import illumination_equations as equations
from tesela.pixels import illumination_priors as priors
from tesela.pixels.illumination_model import Bools, Floats, Indices, Model, Observations


@dataclass(frozen=True)
class Task:
    """The observations star by star, and what does not change from pass to pass."""

    obs: Observations
    model: Model
    order: Indices
    start: Indices
    u: Floats
    v: Floats
    frame: Indices
    star: Indices
    y: Floats
    sigma: Floats
    centre: Floats
    ext_y: Floats
    ext_err: Floats
    ext_colour: Floats
    field_index: Indices
    field_weight: Floats
    layout: Indices
    prior: Floats
    design: Floats
    mean: Floats
    plane: Floats
    offset: float
    repeated: Bools

    @classmethod
    def prepare(cls, obs: Observations, shape: tuple[int, int], model: Model) -> Task:
        ext, colour = _external(obs, model)
        has_ext = np.isfinite(ext)
        good = np.isfinite(obs.x + obs.y + obs.mag + obs.mag_err) & (obs.mag_err > 0)
        order = np.argsort(obs.star, kind="stable")
        order = order[good[order]]
        star = obs.star[order]
        start = np.searchsorted(star, np.arange(obs.n_stars + 1))
        repeated = np.diff(start) + has_ext > 1
        if not repeated.any():
            raise QualityError(
                "illumination",
                found=f"{obs.n_stars} stars, none of which was seen twice",
                expected="dithered frames, or a catalogue of magnitudes",
                do="take frames shifted against each other by a part of the field",
            )
        # Magnitudes relative to something near, so that no digits are lost in the sums.
        seen = ext[star] - obs.mag[order]
        offset = float(np.nanmedian(seen)) if np.isfinite(seen).any() else 0.0
        total = np.bincount(star, obs.mag[order] + offset, minlength=obs.n_stars)
        centre = total / np.maximum(np.diff(start), 1)
        ny, nx = shape
        sky = np.where(has_ext[:, None], obs.sky, np.nan) if obs.sky.size else obs.sky
        index, weight, of_field = priors.field(sky, model)
        if not len(index):
            index, weight = np.zeros((obs.n_stars, 4), np.int64), np.zeros((obs.n_stars, 4))
        layout = equations.lay_out(obs.n_frames, model.degree, model.grid, len(of_field))
        design, mean, plane = priors.functionals(layout)
        return cls(
            obs=obs,
            model=model,
            order=order,
            start=start,
            u=2 * obs.x[order] / max(nx - 1, 1) - 1,
            v=2 * obs.y[order] / max(ny - 1, 1) - 1,
            frame=obs.frame[order].astype(np.int64),
            star=star.astype(np.int64),
            y=obs.mag[order] + offset - centre[star],
            sigma=np.hypot(obs.mag_err[order], model.floor_mag),
            centre=centre,
            ext_y=np.where(has_ext, ext - centre, 0.0),
            ext_err=np.where(has_ext, obs.ext_err, np.inf) if has_ext.any() else has_ext * 1.0,
            ext_colour=np.where(has_ext, colour, 0.0),
            field_index=index,
            field_weight=weight,
            layout=layout,
            prior=priors.precision(obs, model, layout, of_field, plane),
            design=design,
            mean=mean,
            plane=plane,
            offset=offset,
            repeated=repeated,
        )

    @property
    def has_ext(self) -> Bools:
        """Stars with a magnitude in the catalogue."""
        return np.isfinite(self.ext_err) & (self.ext_err > 0)

    @property
    def surface(self) -> slice:
        """The parameters of the map."""
        return slice(int(self.layout[equations.POLYNOMIAL]), int(self.layout[equations.COLOUR]))


def _external(obs: Observations, model: Model) -> tuple[Floats, Floats]:
    """Catalogue magnitudes in the natural system, as far as known, and the colours to fit."""
    nothing = np.full(obs.n_stars, np.nan)
    if not np.size(obs.ext_mag):
        return nothing, np.zeros(obs.n_stars)
    mag = np.where(obs.ext_err > 0, obs.ext_mag, np.nan)
    if model.colour is None:
        return mag, np.zeros(obs.n_stars)
    colour = obs.ext_colour if np.size(obs.ext_colour) else nothing
    if model.colour == "fit":
        return np.where(np.isfinite(colour), mag, np.nan), colour
    return mag - float(model.colour) * colour, np.zeros(obs.n_stars)
