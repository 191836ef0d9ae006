"""`tesela camera check`: what a camera's description makes of a frame, before any is taken in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import JsonOption, emit, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tesela.cameras import Camera
    from tesela.stages.ingest.inspection import Inspection

verbs = typer.Typer(no_args_is_help=True, help="Descriptions of cameras.")
_COLOURS = {
    "data": (60, 220, 90),
    "overscan": (230, 60, 60),
    "prescan": (255, 205, 40),
    "parallel": (60, 150, 255),
}
_PICTURE_PX = 800


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(verbs, name="camera")


@verbs.callback()
def _group() -> None:
    """Descriptions of cameras."""


@verbs.command("check")
def check(
    toml: Annotated[Path, typer.Argument(help="The camera's TOML, or the name of a known camera.")],
    frames: Annotated[list[Path] | None, typer.Argument(help="Raw frames of it.")] = None,
    survey: Annotated[
        Path | None, typer.Option(help="A survey.toml, whose filters are looked up too.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="PNG of the first frame: data green, overscan red, prescan yellow, "
                     "parallel blue."),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Check a camera's TOML, alone or against frames: sizes, outputs, levels, time, pointing.

    Nothing is stored. Ends with 2 if a frame would be refused.
    """
    from tesela import cameras, config
    from tesela.stages.ingest.inspection import inspect

    is_file = toml.suffix == ".toml"
    camera = cameras.load(toml.stem if is_file else str(toml), toml.parent if is_file else None)
    of_survey = None if survey is None else config.load_survey(survey)
    found = []
    for path in frames or []:
        one, own, pixels = inspect(path, camera, of_survey)
        found.append(one)
        if picture is not None and len(found) == 1 and pixels is not None:
            _draw(picture, pixels, own)
    data = {
        "camera": camera.name,
        "size": f"{camera.raw_nx}x{camera.raw_ny}",
        "image": f"{camera.nx}x{camera.ny}",
        "ccds": camera.ccds,
        "n_amplifiers": len(camera.amplifiers),
        "frames": [dataclasses.asdict(one) for one in found],
    }
    emit(data, as_json, lambda: _lines(camera, found))
    if any(one.problems for one in found):
        raise typer.Exit(2)


def _lines(camera: Camera, found: list[Inspection]) -> Iterator[str]:
    yield (
        f"{camera.name}: {plural(len(camera.ccds), 'CCD')}, raw {camera.raw_nx}x{camera.raw_ny}, "
        f"image {camera.nx}x{camera.ny}, {plural(len(camera.amplifiers), 'amplifier')}, "
        f"{camera.pixel_scale_arcsec:g} arcsec a pixel"
    )
    for one in found:
        yield f"{one.file}: {one.size} {one.pixel_type}".rstrip()
        told = {name: value for name, value in one.facts.items() if value not in (None, "")}
        yield from (f"  {name}: {_shown(name, value)}" for name, value in told.items())
        if one.cards:
            yield "  cards: " + ", ".join(f"{name} = {value}" for name, value in one.cards.items())
        for output in one.outputs:
            strips = ", ".join(f"{name} {section}" for name, section in output.sections.items())
            yield (
                f"  amplifier {output.id}: {strips}; zero {output.zero_adu:.1f} ADU, noise "
                f"{output.noise_e:.2f} e- (stated {output.stated_noise_e:g}), gain "
                f"{output.gain_e_per_adu:g}; data {output.lowest_adu:g} to {output.highest_adu:g},"
                f" median {output.level_adu:.1f} ADU, saturated from {output.saturation_adu:g}"
            )
        yield from (f"  doubtful: {doubt}" for doubt in one.doubts)
        yield from (f"  REFUSED: {problem}" for problem in one.problems)


def _shown(name: str, value: Any) -> str:
    if name in ("ra_deg", "dec_deg"):
        return f"{value:.5f} (ICRS)"
    return f"{value:.6f}" if name == "mjd_start" else str(value)


def _draw(path: Path, pixels: NDArray[np.uint16] | NDArray[np.float32], camera: Camera) -> None:
    """The frame with the outlines of all sections; an amplifier's number in its data."""
    import numpy as np
    from PIL import Image, ImageDraw

    from tesela.cameras.checks import sections_of
    from tesela.pixels import thumbnail

    shown = Image.fromarray(thumbnail.render(pixels.astype(np.float32), max_px=_PICTURE_PX))
    factor = max(1, -(-max(pixels.shape) // _PICTURE_PX))
    pen = ImageDraw.Draw(shown)
    for amp in camera.amplifiers:
        for name, section in sections_of(amp):
            left, right = section.x0 / factor, max(section.x1 - 1, section.x0) / factor
            top, bottom = (shown.height - 1 - y / factor for y in (section.y1 - 1, section.y0))
            pen.rectangle((left, top, right, bottom), outline=_COLOURS[name])
            if name == "data":
                pen.text((left + 4, top + 2), str(amp.id), fill=_COLOURS[name])
    shown.save(path, "PNG")
