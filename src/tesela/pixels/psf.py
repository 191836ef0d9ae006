"""The point-spread function: choose stars, fit a model, photometry with it."""

from tesela.pixels.psf_fit import fit
from tesela.pixels.psf_model import PsfModel
from tesela.pixels.psf_photometry import photometry
from tesela.pixels.psf_stars import select_stars

__all__ = ["PsfModel", "fit", "photometry", "select_stars"]
