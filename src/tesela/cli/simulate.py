"""`tesela simulate`: make a night with known truth."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tesela.cli.common import JsonOption, emit, plural, progress_bar
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to make; it must not exist.")],
    camera: Annotated[str, typer.Option("--camera", help="mini80, t80cam ...")] = "mini80",
    bands: Annotated[str, typer.Option("--bands", help="Comma-separated; all by default.")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")] = 20170703,
    date: Annotated[str, typer.Option("--date", help="Evening date.")] = "2017-07-03",
    tiles: Annotated[int, typer.Option("--tiles", min=1, help="Tiles in a row.")] = 2,
    dithers: Annotated[int, typer.Option("--dithers", min=1, help="A tile and band.")] = 3,
    biases: Annotated[int, typer.Option("--biases", min=0)] = 8,
    flats: Annotated[int, typer.Option("--flats", min=0, help="A band.")] = 5,
    density: Annotated[
        float, typer.Option("--density", min=0.0, help="Factor on the stars and galaxies.")
    ] = 1.0,
    workers: Annotated[int, typer.Option("--workers", min=0, help="0: one a core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate raw frames, a reference catalogue and a survey.toml; the truth lies beside them.

    The sky is denser than nature (5 times the stars, 10 times the galaxies), so that a small field
    has statistics. Only the scorer reads the folder `truth`.
    """
    from tesela.simulate.settings import demo

    settings = replace(
        demo(),
        camera=camera,
        bands=tuple(b.strip() for b in bands.split(",") if b.strip()),
        seed=seed,
        date=date,
        tiles=tiles,
        n_dither=dithers,
        n_bias=biases,
        n_flat=flats,
        stars_per_field=demo().stars_per_field * density,
        galaxies_per_field=demo().galaxies_per_field * density,
    )
    frames = make_night(out, settings, workers or os.cpu_count() or 1, as_json)
    data = {"folder": str(out), "frames": len(frames), "survey": str(out / "survey.toml")}
    emit(data, as_json, lambda: iter([f"{plural(len(frames), 'raw frame')} in {out / 'raw'}"]))


def make_night(out: Path, settings: object, workers: int, as_json: bool) -> list[Path]:
    """Simulate into a new folder, with progress; a crash leaves only a folder ending in .part."""
    import shutil

    from tesela.simulate import night, survey
    from tesela.simulate.settings import NightSettings

    if not isinstance(settings, NightSettings):
        raise ConfigError("simulate", found=repr(settings), expected="NightSettings")
    if out.exists():
        raise ConfigError(
            str(out), found="something of that name", expected="a new folder", do="choose another"
        )
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with progress_bar(as_json) as bar:
        line = bar.add_task("simulate", total=None) if bar else None

        def show(done: int, total: int, what: str) -> None:
            if bar is not None and line is not None:
                bar.update(line, completed=done, total=total, description=f"simulate {what}")

        frames = night.make(part, settings, progress=show, workers=workers)
    (part / "survey.toml").write_text(survey.survey_toml(settings), encoding="utf-8")
    part.rename(out)
    return [out / frame.relative_to(part) for frame in frames]
