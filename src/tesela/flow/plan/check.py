"""What a survey says of its masters, held against the kinds, cameras and bands there are.

A name that nothing has would be taken in silence, and the setting with it: a calendar that names
another camera cuts no validity, a minimum of `BIES` is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tesela.cameras import Camera
from tesela.config import Calibration, SkyFrames, Survey
from tesela.errors import ConfigError
from tesela.ledger.keys import clean
from tesela.products.masterkind import KINDS

_BY_KIND = ("minimum", "wanted", "cadence_days", "validity_days", "fallback_days")


def check(survey: Survey, cameras: Sequence[Camera]) -> None:
    """Raise `ConfigError` for settings of masters that cannot be meant.

    Parameters
    ----------
    survey : Survey
    cameras : sequence of Camera
        Those that the survey names, loaded.
    """
    calibration, where = survey.calibration, "survey.toml.calibration"
    _check_names(calibration, where, {clean(camera.name): camera.name for camera in cameras})
    for kind, frames in _sky_frames(calibration):
        name = f"{where}.{kind.lower()}.bands"
        _refuse_unknown(frames.bands, survey.filters, name, "band")
    _check_contradiction(calibration, where)
    _check_numbers(calibration, where)


def _check_names(calibration: Calibration, where: str, cameras: dict[str, str]) -> None:
    for name in ("required", "unused", *_BY_KIND):
        _refuse_unknown(getattr(calibration, name), KINDS, f"{where}.{name}", "kind of master")
    for i, one in enumerate(calibration.interventions):
        own = f"{where}.interventions[{i}]"
        _refuse_unknown(one.kinds, KINDS, f"{own}.kinds", "kind of master")
        unknown = [name for name in one.cameras if clean(name) not in cameras]
        _refuse(unknown, cameras.values(), f"{own}.cameras", "camera")


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str, what: str) -> None:
    known = list(known)
    _refuse([name for name in names if name not in known], known, where, what)


def _refuse(unknown: Sequence[str], known: Iterable[str], where: str, what: str) -> None:
    if unknown:
        raise ConfigError(
            where,
            found=f"unknown {what} {', '.join(map(repr, unknown))}",
            expected=f"some of {', '.join(known)}",
        )


def _check_contradiction(calibration: Calibration, where: str) -> None:
    """A kind that is waited for and never made would hold every frame for good, or none."""
    both = [kind for kind in calibration.required if kind in calibration.unused]
    if both:
        raise ConfigError(
            f"{where}.unused",
            found=f"{', '.join(both)}, also in required",
            expected="kinds that are not required",
            do=f"take {', '.join(both)} out of one of them; without `required` in the file it is "
            + ", ".join(Calibration().required),
        )


def _check_numbers(calibration: Calibration, where: str) -> None:
    """The fewest frames, the frames of a good master, and the most that are taken, in order."""
    minimum, wanted = calibration.minimum, calibration.wanted
    for kind, usual in KINDS.items():
        good = wanted.get(kind, usual.wanted)
        if minimum.get(kind, 1) > good:
            raise ConfigError(
                f"{where}.minimum.{kind}",
                found=f"{minimum[kind]}, of a good master {good} frames",
                expected=f"at most wanted.{kind}, which is {good}",
                do=f"set wanted.{kind} too",
            )
    for kind, frames in _sky_frames(calibration):
        for name, fewest in (
            ("minimum", minimum.get(kind, 1)),
            ("wanted", wanted.get(kind, KINDS[kind].wanted)),
        ):
            if frames.most < fewest:
                raise ConfigError(
                    f"{where}.{kind.lower()}.most",
                    found=f"{frames.most}",
                    expected=f"at least {name}.{kind}, which is {fewest}",
                    do="take more frames, or want fewer",
                )


def _sky_frames(calibration: Calibration) -> Iterator[tuple[str, SkyFrames]]:
    """Kinds built from science frames of the survey's choice."""
    yield "ILLUMINATION", calibration.illumination
    yield "FRINGE", calibration.fringe
    yield "PATTERN", calibration.pattern
