"""`tesela demo`: a simulated night through the real flow, judged against its truth."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli import serve
from tesela.cli.common import JsonOption, emit
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.flow.run.site import Site
    from tesela.score.night import Evaluation, Products
    from tesela.simulate.settings import NightSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of the demonstration.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="Another sky, another night.")] = 20170703,
    workers: Annotated[int, typer.Option("--workers", min=0, help="0: one a core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate a 12-filter night, process and publish it by the ordinary verbs, score the result.

    Everything is made in FOLDER: `night` (raw frames, reference, truth), `site` (ledger, products
    and releases), `pictures`, and the score. Called again it goes on where it stopped. Ends with 1
    if a task is dead, the release is refused, or a number misses its target.
    """
    from tesela.cli.simulate import check_installed
    from tesela.simulate import campaign

    check_installed()
    started = time.perf_counter()
    say = _silent if as_json else typer.echo
    folder.mkdir(parents=True, exist_ok=True)
    nights = campaign.demonstration(seed=seed)
    _simulate(folder / "night", nights, workers, as_json, say)
    _process(folder / "site", folder / "night", workers, as_json, say)
    release = _publish(folder / "site", as_json, say)
    say(f"$ score against {folder / 'night' / 'truth'}")
    products, evaluation, pictures = _score(folder)
    seconds = time.perf_counter() - started
    rows = evaluation.rows
    _report(folder, rows, as_json)
    data = {
        "seconds": round(seconds, 1),
        "frames": len(products.frames),
        "tiles": len(products.coadds),
        "release": release,
        "pictures": [str(path) for path in pictures],
        "score": [row.as_dict() for row in rows],
    }
    from tesela.score import table

    emit(data, as_json, lambda: _closing(folder, release, seconds))
    if not table.passed(rows):
        raise typer.Exit(1)


def _silent(_: str) -> None:
    """Say nothing: the output is for a program."""


def _simulate(
    night: Path,
    settings: Sequence[NightSettings],
    workers: int,
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    from tesela.cli.simulate import make_night
    from tesela.simulate.night import read_settings

    if (night / "truth" / "night.json").is_file():
        if read_settings(night / "truth") == tuple(settings):
            say(f"{night} is there already")
            return
        raise ConfigError(
            str(night),
            found="a night made with other settings",
            expected="the demonstration's",
            do="remove the folder, or give the demonstration another one",
        )
    say(f"$ tesela simulate {night} --preset demo")
    make_night(night, settings, workers or os.cpu_count() or 1, as_json)


def _process(
    site: Path, night: Path, workers: int, as_json: bool, say: Callable[[str], None]
) -> None:
    """The ordinary verbs, as a user would type them."""
    from tesela.cli import doctor, ingest, init, refcat, run
    from tesela.products import paths
    from tesela.simulate.survey import REFCAT

    quiet = {"as_json": as_json}
    with _output(as_json):
        if not paths.survey_file(site).is_file():
            say(f"$ tesela init {site} --survey {night / 'survey.toml'}")
            init.init(site, night / "survey.toml", as_json=as_json)
        if not _has_reference(site, REFCAT):
            say(f"$ tesela refcat add {REFCAT} {night / 'refcat.parquet'} --site {site}")
            refcat.add(REFCAT, night / "refcat.parquet", site, **quiet)
        say(f"$ tesela doctor --site {site}")
        doctor.doctor(site, True, **quiet)
        say(f"$ tesela ingest {night / 'raw'} --site {site}")
        ingest.ingest([str(night / "raw")], site, **quiet)
        say(f"$ tesela run --site {site}")
        run.run(site, workers, as_json=as_json)


def _publish(site: Path, as_json: bool, say: Callable[[str], None]) -> str:
    """Build, validate and publish a release of what is current; returns its name."""
    from tesela.cli import release
    from tesela.flow.run import release as releases
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    there = {row["name"] for row in releases.listed(opened)}
    unused = (f"dr{n}" for n in itertools.count(1) if f"dr{n}" not in there)
    name = releases.newest_of_current(opened) or next(unused)
    with _output(as_json):
        if name not in there:
            say(f"$ tesela release build {name} --site {site}")
            release.build(name, site, "The demonstration's night")
        say(f"$ tesela release publish {name} --site {site}")
        release.publish(name, site)
    opened.ledger.close()
    return name


def _has_reference(site: Path, name: str) -> bool:
    from tesela.flow.run.site import open_site
    from tesela.ledger import products

    opened = open_site(site)
    with opened.ledger.read() as conn:
        found = products.current(conn, "refcat", name)
    opened.ledger.close()
    return found is not None


def _output(as_json: bool) -> Any:
    """With --json only the last word is printed."""
    import contextlib
    import io

    return contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext()


def _score(folder: Path) -> tuple[Products, Evaluation, list[Path]]:
    from tesela.cli import demo_calibrations, demo_pictures
    from tesela.flow.run.site import open_site
    from tesela.score import night, pictures

    site = open_site(folder / "site")
    products = current_products(site)
    calibrations = demo_calibrations.draw(folder / "pictures" / "calibrations", site)
    site.ledger.close()
    evaluation = night.measure(products, folder / "night" / "truth")
    made = pictures.write_plots(evaluation, folder / "pictures")
    made += demo_pictures.draw(folder / "pictures", folder / "night" / "raw", products)
    return products, evaluation, made + calibrations


def current_products(site: Site) -> Products:
    """Paths of what is served now, from the ledger."""
    from tesela.ledger import masters
    from tesela.ledger import products as ledger_products
    from tesela.score.night import Products

    def by_key(kind: str) -> dict[str, Path]:
        with site.ledger.read() as conn:
            rows = ledger_products.all_current(conn, kind)
        return {row["key"]: site.folder / row["path"] for row in rows}

    def by_tile(kind: str) -> dict[tuple[str, str], Path]:
        return {
            (key.rsplit(".", 1)[0], key.rsplit(".", 1)[1]): path
            for key, path in by_key(kind).items()
        }

    with site.ledger.read() as conn:
        certified = masters.listed(conn, state="certified")
    return Products(
        frames=by_key("reduced"),
        coadds=by_tile("coadd"),
        catalogues=by_tile("catalogue"),
        duals=by_key("dual"),
        zeropoints=by_key("zeropoints"),
        valueadded=by_key("valueadded"),
        masters={row["key"]: site.folder / row["path"] for row in certified},
    )


def _report(folder: Path, rows: list[Any], as_json: bool) -> None:
    from tesela.score import table

    (folder / "score.json").write_text(table.to_json(rows), encoding="utf-8")
    (folder / "score.md").write_text(table.to_markdown(rows), encoding="utf-8")
    if not as_json:
        from rich.console import Console

        Console(width=None if os.isatty(1) else 140).print(table.terminal(rows))


def _closing(folder: Path, release: str, seconds: float) -> Iterator[str]:
    yield f"done in {seconds:.0f} s"
    yield f"pictures in {folder / 'pictures'}, score in {folder / 'score.md'}"
    site = folder / "site"
    program = _program()
    yield f"release {release} is published; look at it at {serve.address(serve.ARCHIVE_PORT)}/ with"
    yield f"  {program} serve archive --site {site}"
    yield f"the night is at {serve.address(serve.PORTAL_PORT)}/ with"
    yield f"  {program} serve portal --site {site}"


def _program() -> str:
    """How the program is called from here: it may lie in an environment that is not on the path."""
    import shutil
    import sys

    if shutil.which("tesela"):
        return "tesela"
    called = Path(sys.argv[0])
    inside = called.is_absolute() and called.is_relative_to(Path.cwd())
    return str(called.relative_to(Path.cwd()) if inside else called)
