"""`tesela simulate`: make nights with known truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import JsonOption, emit, plural, progress_bar
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.simulate.settings import NightSettings

NIGHT, TINY = "night", "tiny"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to make; it must not exist.")],
    preset: Annotated[
        str, typer.Option("--preset", help="night, tiny, demo, calibration or blind.")
    ] = NIGHT,
    camera: Annotated[str, typer.Option("--camera", help="mini80, t80cam, mini14 ...")] = "mini80",
    ccds: Annotated[
        str, typer.Option("--ccds", help="Of a camera of many, comma-separated; all by default.")
    ] = "",
    bands: Annotated[str, typer.Option("--bands", help="Comma-separated; all by default.")] = "",
    seed: Annotated[
        int | None, typer.Option("--seed", help="Same seed, same bytes; 20170703 by default.")
    ] = None,
    date: Annotated[str, typer.Option("--date", help="First evening date.")] = "2017-07-03",
    tiles: Annotated[
        int | None, typer.Option("--tiles", min=0, help="Tiles in a row; demo: 2.")
    ] = None,
    dithers: Annotated[
        int | None, typer.Option("--dithers", min=1, help="A tile and band; demo: 3.")
    ] = None,
    biases: Annotated[int | None, typer.Option("--biases", min=0, help="demo: 8.")] = None,
    flats: Annotated[int | None, typer.Option("--flats", min=0, help="A band; demo: 5.")] = None,
    density: Annotated[
        float, typer.Option("--density", min=0.0, help="Factor on the stars and galaxies.")
    ] = 1.0,
    blind: Annotated[
        bool,
        typer.Option("--blind", help="Preset blind, a secret seed, read-only files, checksums."),
    ] = False,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="New folder of the truth; OUT/truth by default.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="0: one a core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate raw frames, a reference catalogue and a survey.toml; the truth lies beside them.

    The sky is denser than nature (5 times the stars, 10 times the galaxies), so that a small field
    has statistics. Only the scorer reads the folder `truth`.

    `--preset demo` are the nights of `tesela demo`; `--preset calibration` is a campaign of three
    nights for all kinds of masters, with work on the baffles between the second and the third;
    `--preset blind` is two nights with all that may go wrong. With `--blind` nobody knows the seed,
    and OUT holds nothing of the truth.
    """
    if blind:
        _check_blind(preset, seed, truth)
    asked = {
        "ccds": _words(ccds),
        "bands": _words(bands),
        "tiles": tiles,
        "n_dither": dithers,
        "n_bias": biases,
        "n_flat": flats,
        "seed": _secret() if blind else seed,
        "camera": camera,
        "date": date,
    }
    nights = _nights("blind" if blind else preset, asked, density)
    many = workers or os.cpu_count() or 1
    frames = make_night(out, nights, many, as_json, truth=truth, frozen=blind)
    data = {
        "folder": str(out),
        "nights": len(nights),
        "frames": len(frames),
        "survey": str(out / "survey.toml"),
        "truth": str(truth or out / "truth"),
    }
    emit(data, as_json, lambda: iter([f"{plural(len(frames), 'raw frame')} in {out / 'raw'}"]))


def _words(text: str) -> tuple[str, ...] | None:
    return tuple(word.strip() for word in text.split(",") if word.strip()) or None


def _secret() -> int:
    import secrets

    return secrets.randbits(62)


def _check_blind(preset: str, seed: int | None, truth: Path | None) -> None:
    if truth is None:
        raise ConfigError("--blind", found="no --truth", expected="a folder for the truth")
    if seed is not None:
        raise ConfigError("--seed", found="a seed with --blind", expected="one nobody knows")
    if preset not in (NIGHT, "blind"):
        raise ConfigError("--preset", found=f"{preset} with --blind", expected="none, or blind")


def _nights(preset: str, asked: dict[str, Any], density: float) -> list[NightSettings]:
    """The nights of a preset with what was asked for in place of its own."""
    from tesela.simulate import campaign
    from tesela.simulate import settings as nights_of

    if preset not in (NIGHT, TINY, *campaign.PRESETS):
        raise ConfigError(
            "--preset", found=repr(preset), expected=", ".join((NIGHT, TINY, *campaign.PRESETS))
        )
    if preset == "calibration" and asked["bands"]:
        raise ConfigError("--bands", found="bands for calibration", expected="its own: r and z")
    changes = {name: value for name, value in asked.items() if value is not None}
    if preset == NIGHT:
        nights = [replace(nights_of.demo(), **changes)]
    elif preset == TINY:
        nights = [nights_of.tiny(**changes)]
    else:
        nights = campaign.PRESETS[preset](**changes)
    return [
        replace(
            night,
            stars_per_field=night.stars_per_field * density,
            galaxies_per_field=night.galaxies_per_field * density,
        )
        for night in nights
    ]


def check_installed() -> None:
    """Raise `ConfigError` without GalSim; who only processes frames need not install it."""
    import importlib.util

    if importlib.util.find_spec("galsim") is None:
        raise ConfigError(
            "tesela simulate",
            found="GalSim is not installed",
            expected="the extra `simulate`",
            do="pip install 'tesela[simulate]'",
        )


def make_night(
    out: Path,
    settings: NightSettings | Sequence[NightSettings],
    workers: int,
    as_json: bool,
    *,
    truth: Path | None = None,
    frozen: bool = False,
) -> list[Path]:
    """Simulate into a new folder, with progress; a crash leaves only folders ending in .part.

    The truth is written beside the frames, or into the new folder `truth`. What is `frozen` has
    checksums and is read-only.
    """
    import shutil

    check_installed()
    from tesela.simulate import freeze, night, survey

    if truth is not None and truth.resolve().is_relative_to(out.resolve()):
        raise ConfigError(
            "--truth", found=f"{truth}, inside {out}", expected="a folder elsewhere",
            do="keep it where those who reduce the night do not look",
        )  # fmt: skip
    new = [folder for folder in (truth, out) if folder is not None]
    for folder in new:
        if folder.exists():
            raise ConfigError(
                str(folder),
                found="something of that name",
                expected="a new folder",
                do="choose another",
            )
    text = survey.survey_toml(settings)
    parts = {folder: folder.with_name(f"{folder.name}.part") for folder in new}
    for part in parts.values():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    with progress_bar(as_json) as bar:
        line = bar.add_task("simulate", total=None) if bar else None

        def show(done: int, total: int, what: str) -> None:
            if bar is not None and line is not None:
                bar.update(line, completed=done, total=total, description=f"simulate {what}")

        frames = night.make(
            parts[out],
            settings,
            truth_dir=None if truth is None else parts[truth],
            progress=show,
            workers=workers,
        )
    (parts[out] / "survey.toml").write_text(text, encoding="utf-8")
    if frozen:
        freeze.freeze(parts[out])
    for folder, part in parts.items():
        part.rename(folder)
    return [out / frame.relative_to(parts[out]) for frame in frames]
