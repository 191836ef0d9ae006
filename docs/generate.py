"""Write the pages of docs/reference from the program itself.

    python docs/generate.py

A test compares the pages with what this prints, so they cannot grow old.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by docs/generate.py from the code: change the code, then run it again. -->\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "columns.md": _columns(),
        "mask.md": _mask(),
        "settings.md": _settings(),
        "commands.md": _commands(),
        "conditions.md": _conditions(),
    }


def main() -> None:
    """Write the pages that changed."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")


def _page(title: str, introduction: str, body: str) -> str:
    return f"# {title}\n\n{_NOTE}\n{introduction.strip()}\n\n{body.strip()}\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


# -- columns ------------------------------------------------------------------------------------


_TABLES = {
    "sources": "The extension SOURCES of a reduced image: `products/reduced`, a file a frame. The "
    "last of the nine apertures is the one of the zero point (`aperture_arcsec` of "
    "`[steps.reduce.photometry]`); with the default of 6 arcsec it is the eighth once more.",
    "quicklook": "The brightest sources of a quick look: `products/quicklook`, a file a frame.",
    "single": "One band by itself: `products/catalogue`, a file a tile and band.",
    "dual": "Sources of the detection band in every band: `products/dual`, a file a tile.",
    "zeropoints": "The photometric solution: `products/zeropoints`, a file a tile.",
    "valueadded": "Classes and redshifts, rows as in `dual`: `products/valueadded`, a file a tile.",
    "objects": "Sources of the detection band, measured in every band. Sorted by `_healpix_29`.",
    "detections": "Sources found in each band by itself. Sorted by `_healpix_29`.",
    "tiles": "What is known of each tile and band.",
    "filters": "The bands, in the order of all arrays.",
}


def _columns() -> str:
    from tesela.products.columns import TABLES
    from tesela.products.starlist import STAR_LISTS

    titles = {
        "sources": "Star lists of frames",
        "single": "Products of the pipeline",
        "objects": "Published tables",
    }
    said = {
        "sources": """
Fluxes are electrons of the frame, positions count from 0 at the centre of the first pixel. In FITS,
unit, UCD and description are the cards `TUNITn`, `TUCDn` and `TCOMMn`; the diameters of the
apertures are `TSL APER1` and on, where positions count from is `TSL ORIGIN`.
""",
        "single": """
Fluxes are instrumental, in electrons a second on the scale of their coadd; `zeropoints` joins them
when they are loaded. Facts of the tile (band or bands, depth, completeness, provenance) are in the
metadata of the file (key `tesela`, JSON). What is not known is NaN.
""",
        "objects": """
What a release holds: AB magnitudes, and flux densities in microjansky. What is not known is NULL.
`family` says which columns are stored and served together. See [Queries](../howto/query.md).
""",
    }
    sections = []
    for table, columns in {**STAR_LISTS, **TABLES}.items():
        if table in titles:
            sections.append(f"## {titles[table]}\n\n{said[table].strip()}")
        sections.append(f"### `{table}`\n\n{_TABLES[table]}\n\n{_column_rows(table, columns)}")
    introduction = """
Unit, UCD and description are stored with each field of the Parquet files. A type `x bands` is an
array with one value a band, in the order of the table `filters`: by wavelength for bands whose
curve is known, then by name. **Bold** columns are never NULL.
"""
    return _page("Columns of catalogues", introduction, "\n\n".join(sections))


def _column_rows(table: str, columns: Mapping[str, Any]) -> str:
    families = len({column.family for column in columns.values()}) > 1
    published = "_healpix_29" in columns and families
    head = ("name", "type", "unit", "UCD", "description") + ("family",) * published
    rows = []
    for c in columns.values():
        times = {1: "", -1: " x bands"}.get(c.length, f" x {c.length}")
        name = f"**`{c.name}`**" if c.required else f"`{c.name}`"
        row = (name, c.dtype + times, c.unit, f"`{c.ucd}`", c.description)
        rows.append((*row, c.family) if published else row)
    return _table(head, rows)


# -- mask ---------------------------------------------------------------------------------------


def _mask() -> str:
    from tesela.products.maskbit import MEANING, UNUSABLE, MaskBit

    rows = [
        (str(int(bit)), f"`{bit.name}`", MEANING[bit], "no" if bit & UNUSABLE else "yes")
        for bit in MaskBit
    ]
    introduction = """
The extension MASK of masters, reduced images and coadds, and the column `mask_flags` of
catalogues, hold the sum of these codes. 0 means that nothing is wrong. The header of every MASK
names them, so a file explains itself.
"""
    return _page(
        "Mask codes", introduction, _table(("code", "name", "meaning", "light usable"), rows)
    )


# -- conditions ---------------------------------------------------------------------------------


def _conditions() -> str:
    from tesela.ledger import where_columns

    tables = {
        "frames": where_columns.ABOUT_FRAMES,
        "products": where_columns.ABOUT_PRODUCTS,
        "tasks": where_columns.ABOUT_TASKS,
    }
    names = dict.fromkeys(name for table in tables.values() for name in table)
    rows = [
        (
            f"`{name}`",
            next(table[name].type for table in tables.values() if name in table),
            *("yes" if name in table else "" for table in tables.values()),
        )
        for name in names
    ]
    introduction = """
A condition after `--where` is comparisons joined by `and`:

```
night = 2017-07-03 and band = rSDSS and fwhm_arcsec > 2.5
night in (2017-07-01..2017-07-05, 2017-07-09) and obstype = science
name ~ 'j02-*' and passed = no
```

| comparison | meets it |
|---|---|
| `=` `!=` `<` `<=` `>` `>=` | equal, and so on |
| `= a..b` | from a to b, both included: nights, times and numbers |
| `in (a, b, c..d)` | any of these |
| `~ pattern` | text like the pattern: `*` is anything, `?` one letter; capitals matter |

A value with spaces or signs stands in quotes, single or double. A date after `made` is its whole
day, UTC. What has no value, such as the seeing of an image that was not measured, meets no
comparison at all.

`flag` and `unflag` ask frames, or products with `--kind master`, `detrended`, `reduced` or `coadd`;
`reprocess` asks products, `retry` tasks. What is made and measured of a frame (`version` to
`passed`) is that of the reduced image which is served. Products and tasks of whole tiles, and
masters, have no frame: of these `band`, `night` and the like are not known, and `key ~ '*.rSDSS'`
says it.
"""
    head = ("column", "is", *tables)
    return _page("Conditions", introduction, _table(head, rows))


# -- settings -----------------------------------------------------------------------------------


def _settings() -> str:
    from tesela import cameras, config
    from tesela.cameras.camera import HeaderCards, ImageType
    from tesela.quality.bands import Band, MonitorSettings
    from tesela.stages.calibrate.settings import CalibrateSettings
    from tesela.stages.catalog.dual_settings import DualSettings
    from tesela.stages.catalog.settings import CatalogSettings
    from tesela.stages.coadd.settings import CoaddSettings
    from tesela.stages.masters.settings import MastersSettings
    from tesela.stages.reduce.quick_settings import QuickSettings
    from tesela.stages.reduce.settings import ReduceSettings
    from tesela.stages.release.settings import ReleaseSettings
    from tesela.stages.valueadded.settings import ValueaddedSettings

    sections = [
        "## survey.toml",
        _class_table(
            "Top of the file",
            config.Survey,
            skip={"filters", "projects", "calibration", "flow", "overrides"},
        ),
        _class_table("`[filters.BAND]`", config.Filter, skip={"reference"}),
        _class_table("`[filters.BAND.reference]`", config.Reference),
        _class_table("`[projects.NAME]`", config.Project),
        "### `[grid]`\n\nThe sky grid, the same pixels in every band.\n\n" + _grid(),
        _class_table(
            "`[calibration]`",
            config.Calibration,
            skip={"interventions", "fringe", "pattern", "illumination"},
        ),
        "#### Kinds of masters\n\n" + _master_kinds(),
        _class_table("`[[calibration.interventions]]`, one block each", config.Intervention),
        _class_table(
            "`[calibration.illumination]`, `[calibration.fringe]`, `[calibration.pattern]`",
            config.SkyFrames,
        ),
        _class_table("`[flow]`", config.Flow),
        _class_table("`[monitors]`", MonitorSettings),
        _class_table("`[monitors.bands.QUANTITY]`", Band),
        "#### Quantities\n\n" + _quantities(),
        *_nested("steps.master", MastersSettings),
        *_nested("steps.reduce", ReduceSettings),
        _class_table("`[steps.quicklook]`", QuickSettings),
        _class_table("`[steps.coadd]`", CoaddSettings),
        _class_table("`[steps.catalog]`", CatalogSettings),
        _class_table("`[steps.dual]`", DualSettings, skip={"detection"}),
        "### `[steps.dual.detection]`\n\n"
        "The keys of `[steps.catalog]`; that table itself, if there is none.",
        _class_table("`[steps.calibrate]`", CalibrateSettings),
        *_nested("steps.valueadded", ValueaddedSettings),
        _class_table("`[steps.release]`", ReleaseSettings),
        _class_table("`[[overrides]]`, one block each", config.Override),
        "## site.toml\n\nWhat holds at one installation alone. A site without the file has these"
        " defaults: a core with SQLite and local processes.",
        _class_table(
            "Top of site.toml",
            config.SiteSettings,
            skip={"ledger", "clusters", "send", "alerts"},
        ),
        _class_table("`[ledger]`", config.LedgerPlace),
        _class_table("`[clusters.NAME]`, one table each", config.Cluster),
        _class_table("`[[send]]`, one block each", config.Send),
        _class_table("`[alerts]`", config.Alerts),
        "## The TOML of a camera",
        _class_table(
            "Top of the file",
            cameras.Camera,
            skip={"amplifiers", "detectors", "header", "imagetypes"},
        ),
        _class_table("`[header]`", HeaderCards),
        _class_table("`[imagetypes]`, one line a value of the card", ImageType),
        _class_table("`[[amplifiers]]`, one block an output", cameras.Amplifier),
        _class_table(
            "`[[detectors]]`, one block a CCD where there are several",
            cameras.Detector,
            skip={"amplifiers"},
        ),
        "### `[[detectors.amplifiers]]`\n\n"
        "The keys of `[[amplifiers]]`; those of the camera, if there are none.",
    ]
    introduction = """
Everything that can be set, with its default; "needed" has none. Keys that are not listed here are
refused, with the place and the list of what is known. What a step was told is stored with each
product as a fingerprint (`TSL SETTINGS`). A changed setting makes nothing due by itself: `status`
calls what was made with other settings *stale*.
"""
    return _page("Settings", introduction, "\n\n".join(sections))


def _master_kinds() -> str:
    """The defaults of every kind, which the tables of `[calibration]` replace."""
    from tesela.products.masterkind import KINDS

    rows = [
        (
            f"`{kind.name}`",
            kind.says,
            str(kind.wanted),
            *(f"{d:g}" for d in (kind.cadence_days, kind.validity_days, kind.fallback_days)),
            "yes" if kind.crosses_interventions else "no",
        )
        for kind in KINDS.values()
    ]
    heads = ("kind", "what it holds", "wanted", "cadence, d", "validity, d", "fallback, d")
    return _table((*heads, "may cross an intervention"), rows)


def _quantities() -> str:
    from tesela.products.monitor import QUANTITIES
    from tesela.quality.bands import BANDS, Band

    def limits(name: str) -> str:
        band = BANDS.get(name)
        if band is None:
            return "followed, not judged"
        own = [
            f"`{field.name} = {value:g}`"
            for field in dataclasses.fields(Band)
            if (value := getattr(band, field.name)) != field.default
        ]
        return ", ".join(own)

    rows = [(f"`{q.name}`", q.unit or "-", q.says, limits(q.name)) for q in QUANTITIES.values()]
    return _table(("quantity", "unit", "what it is", "limits by default"), rows)


def _grid() -> str:
    rows = [
        ("`scheme`", "string", "needed", '"list" or "rings"'),
        ("`pixel_scale_arcsec`", "number", "needed", "Scale of every tile"),
        ("`size_px`", "integer or [ny, nx]", "needed", "Size of every tile"),
        ("`version`", "integer", "`1`", "Version of the scheme; names and centres are promises"),
        ("`centres`", "table", "needed for list", "name -> [ra, dec], ICRS degrees"),
        ("`pitch_deg`", "number", "needed for rings", "Largest distance of neighbouring centres"),
        ("`prefix`", "string", '`""`', "rings: before the number in a tile's name"),
        ("`digits`", "integer", "`5`", "rings: digits of that number"),
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def _nested(where: str, cls: type) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        part = hints[field.name]
        yield _class_table(f"`[{where}.{field.name}]`", part)


def _class_table(title: str, cls: type, skip: set[str] | None = None) -> str:
    notes = _field_notes(cls)
    hints = typing.get_type_hints(cls)
    rows = [
        (f"`{f.name}`", _type_name(hints[f.name]), _default(f), notes.get(f.name, ""))
        for f in dataclasses.fields(cls)
        if f.name not in (skip or set())
    ]
    said = _sentences(cls)
    text = f"### {title}\n\n"
    return text + f"{said}\n\n" * bool(said) + _table(("key", "type", "default", "meaning"), rows)


def _sentences(cls: type) -> str:
    text = inspect.getdoc(cls) or ""
    return " ".join(text.split("\nParameters\n")[0].split())


def _field_notes(cls: type) -> dict[str, str]:
    """The string below each field: documentation that the language itself forgets."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    notes = {}
    for node, after in itertools.pairwise(body):
        is_text = (
            isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        )
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and is_text:
            notes[node.target.id] = " ".join(after.value.value.split())
    return notes


_WORDS = {str: "string", int: "integer", float: "number", bool: "true or false", dict: "table"}


def _type_name(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {_type_name(arguments[0])}"
        return "[" + ", ".join(_type_name(a) for a in arguments) + "]"
    if origin is dict:
        inner = _type_name(arguments[1])
        return "table" if inner.startswith("table") else f"table of {inner}"
    if arguments:
        return " or ".join(_type_name(a) for a in arguments if a is not type(None))
    if getattr(hint, "__name__", "") == "Section":
        return "[x1:x2,y1:y2]"
    return _WORDS.get(hint, "table")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return "none" if field.default is None else f"`{_toml(field.default)}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{_toml(field.default_factory())}`"
    return "needed"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return str(value)


# -- commands -----------------------------------------------------------------------------------


def _commands() -> str:
    import typer.main

    from tesela.cli import main as program

    group = typer.main.get_command(program.build())
    sections = []
    for verb in program.VERBS:
        sections += list(_command(f"tesela {verb}", group.commands[verb]))  # type: ignore[attr-defined]
    introduction = f"""
`tesela VERB --help` says the same. The site is given by `--site FOLDER` or the variable
`TESELA_SITE`, and is the present folder otherwise. With `--json` a verb prints JSON and nothing
else; an error is then a JSON object on standard error: `{{"error": {{"message": "...", ...}}}}`.

{_exit_codes(program)}
"""
    return _page("Commands", introduction, "\n\n".join(sections))


def _exit_codes(program: Any) -> str:
    rows = [
        (str(program.OK), "all well"),
        (str(program.FAILED), "something failed: a task is dead, a check or a target is not met"),
        (str(program.BAD_USAGE), "bad usage, a wrong setting, a name not known, a refused file"),
        (str(program.LOCK_HELD), "another controller runs on this site"),
        (str(program.INTERRUPTED), "stopped with Ctrl-C; `tesela run` goes on from there"),
    ]
    return _table(("exit code", "meaning"), rows)


def _command(path: str, command: Any) -> Iterator[str]:
    if getattr(command, "commands", None):
        for name, sub in command.commands.items():
            yield from _command(f"{path} {name}", sub)
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([path, "[OPTIONS]", *(_metavar(a) for a in arguments)])
    yield f"## `{path}`\n\n{_help(command)}\n\n```\n{usage}\n```"
    rows = [(f"`{_metavar(a)}`", a.help or "", "") for a in arguments]
    rows += [(f"`{' / '.join(_spellings(o))}`", o.help or "", _option_default(o)) for o in options]
    if rows:
        yield _table(("argument", "meaning", "default"), rows)


def _help(command: Any) -> str:
    return re.sub(
        r"\s*\n(?!\n)\s*", " ", inspect.cleandoc(command.help or "").replace("\n\n", "¶")
    ).replace("¶", "\n\n")


def _metavar(argument: Any) -> str:
    name = str(argument.name).upper() + "..." * (argument.nargs == -1)
    return name if argument.required else f"[{name}]"


def _spellings(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _option_default(option: Any) -> str:
    if option.required:
        return "needed"
    value = option.default
    if value is None or value == "" or callable(value):
        return ""
    if isinstance(value, bool):
        return ("yes" if value else "no") if option.secondary_opts else ""
    return f"`{value}`"


if __name__ == "__main__":
    main()
