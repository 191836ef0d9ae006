"""Cameras as data: one TOML each in `data/`, and a small translator where headers are odd."""

from tesela.cameras.camera import Amplifier, Camera, Section, load, names

__all__ = ["Amplifier", "Camera", "Section", "load", "names"]
