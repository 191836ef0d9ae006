"""Cameras as data: one TOML each in `data/`, and a small translator where headers are odd."""

from tesela.cameras.amplifiers import Amplifier, Section
from tesela.cameras.camera import Camera, load, names
from tesela.cameras.detectors import Detector

__all__ = ["Amplifier", "Camera", "Detector", "Section", "load", "names"]
