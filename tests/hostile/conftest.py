"""A few sound frames, a site to spoil, and ways to spoil frames."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from tesela.simulate import night, survey
from tesela.simulate.settings import tiny
from verbs import new_site


@dataclass(frozen=True)
class Given:
    """One sound frame of each kind, and the survey they belong to."""

    bias: Path
    flat: Path
    science: Path
    survey: Path
    refcat: Path


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Frames of the small simulated camera."""
    folder = tmp_path_factory.mktemp("given")
    settings = tiny()
    bias, flat, science = sorted(
        night.make(folder, settings), key=lambda p: _KINDS.index(fits.getval(p, "IMAGETYP"))
    )
    toml = folder / "survey.toml"
    toml.write_text(survey.survey_toml(settings))
    return Given(bias, flat, science, toml, folder / "refcat.parquet")


_KINDS = ["BIAS", "SKYFLAT", "OBJECT"]


@pytest.fixture
def site(tmp_path: Path, given: Given) -> Path:
    """A new site."""
    return new_site(tmp_path / "site", given.survey)


def altered(source: Path, target: Path, *, without: tuple[str, ...] = (), **cards: Any) -> Path:
    """Copy a frame with other cards; in names of cards `__` stands for a space."""
    with fits.open(source) as hdus:
        header, pixels = hdus[0].header.copy(), hdus[0].data.copy()
    for name in without:
        del header[name]
    for name, value in cards.items():
        header[name.replace("__", " ")] = value
    # One other pixel: these are other exposures, not copies of one.
    pixels[0, 0] = (sum(target.name.encode()) * 7919) % 5000 + 500
    fits.PrimaryHDU(pixels, header=header).writeto(target)
    return target


def copied(source: Path, target: Path) -> Path:
    """Copy a file, with its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target
