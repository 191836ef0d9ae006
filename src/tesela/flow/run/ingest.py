"""Taking raw frames in: each file is taken, known already, or refused with one sentence.

One bad file stops nothing else; what is refused is recorded; nothing is ever overwritten.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tesela.errors import BadInput, Duplicate, LedgerLost, ProductError
from tesela.flow.plan import downstream
from tesela.flow.plan.rules import Rules
from tesela.flow.run.site import Site
from tesela.ledger import frames, products
from tesela.ledger.engine import Ledger
from tesela.products import paths
from tesela.products.files import atomic_copy_target, make_folder, sha256_of, write_jpeg
from tesela.products.frame import FrameFacts
from tesela.products.rawfile import looks_like_fits
from tesela.stages.ingest.describe import Described, describe

Describe = Callable[[Path], Described]


@dataclass(frozen=True)
class FileResult:
    """What became of one file: outcome taken, known, refused or failed."""

    path: str
    outcome: str
    message: str = ""


@dataclass(frozen=True)
class Intake:
    """Where frames go and how they are described."""

    folder: Path
    """The site."""
    ledger: Ledger
    rules: Rules
    describe: Describe
    copy: bool = True
    """Copy files into the site; otherwise they stay where they are."""

    @classmethod
    def of(cls, site: Site) -> Intake:
        """That of a site, as its survey describes frames."""
        return cls(
            folder=site.folder,
            ledger=site.ledger,
            rules=site.rules,
            describe=lambda path: describe(path, site.survey, site.cameras),
            copy=site.survey.flow.archive == "copy",
        )


def files_in(sources: Iterable[Path]) -> Iterator[Path]:
    """Yield every given file, and the FITS files of every given folder in the order of names."""
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        for path in sorted(source.rglob("*")):
            if path.is_file() and looks_like_fits(path) and not path.name.startswith("."):
                yield path


def take_in(intake: Intake, files: Iterable[Path]) -> Iterator[FileResult]:
    """Take each file in or say why not, in the given order."""
    for path in files:
        yield _one(intake, path)


def _one(intake: Intake, path: Path) -> FileResult:
    try:
        described = intake.describe(path)
        facts = described.facts
        with intake.ledger.read() as conn:
            if frames.is_known(conn, facts):
                return FileResult(printable(path), "known", f"{facts.name} is here already")
        facts = dataclasses.replace(facts, path=_archive(intake, path, facts))
        _commit(intake, facts, _keep_picture(intake, described))
    except LedgerLost:
        raise  # whether it is in, the next try finds out
    except BadInput as error:
        return _refuse(intake, path, str(error), "refused")
    except (OSError, ProductError) as error:
        return _refuse(intake, path, f"{path.name}: {error}; nothing was taken in", "failed")
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the night
        sentence = f"{path.name}: {type(error).__name__}: {error}; nothing was taken in"
        return _refuse(intake, path, sentence, "failed", traceback.format_exc())
    return FileResult(printable(path), "taken", facts.name)


def printable(path: Path) -> str:
    """A file's name as text, also where it is no UTF-8: other bytes as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _archive(intake: Intake, path: Path, facts: FrameFacts) -> str:
    """Copy the file into the site unless it may stay; returns the path for its row."""
    if not intake.copy:
        return str(path.resolve())
    relative = paths.raw(facts.night, path.name)
    target = intake.folder / relative
    if target.exists():
        # An ingest that died between copying and its transaction left the very same file.
        if sha256_of(target) != facts.sha256:
            raise Duplicate(
                path.name,
                found=f"another file at {relative}",
                expected="a free name",
                do="move that file away if nobody knows it; nothing was overwritten",
            )
        return str(relative)
    with atomic_copy_target(target) as temporary:
        shutil.copyfile(path, temporary)
        if sha256_of(temporary) != facts.sha256:
            raise BadInput(
                path.name,
                found="it changed while it was copied",
                expected="a file that is completely written",
                do="ingest it again later",
            )
    return str(relative)


def _keep_picture(intake: Intake, described: Described) -> products.File:
    """Write the small picture; one that an ingest left before its transaction is replaced."""
    facts = described.facts
    relative = paths.raw_picture(facts.night, facts.name)
    final = intake.folder / relative
    make_folder(final.parent)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        write_jpeg(temporary, described.picture)
        entry = (str(relative), sha256_of(temporary), temporary.stat().st_size)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return entry


def _commit(intake: Intake, facts: FrameFacts, picture: products.File) -> None:
    tiles = []
    if facts.footprint is not None:
        margin = intake.rules.margin_deg
        tiles = intake.rules.tiles_of(facts.project, facts.footprint, margin)
    size = (intake.folder / facts.path).stat().st_size
    with intake.ledger.write() as conn:
        frames.add(conn, facts, tiles, picture, size=size)
        downstream.frame_arrived(conn, intake.rules, facts)


def _refuse(intake: Intake, path: Path, reason: str, outcome: str, log: str = "") -> FileResult:
    reason, log = (
        text.encode("utf-8", "backslashreplace").decode("utf-8") for text in (reason, log)
    )
    try:
        sha256 = sha256_of(path)
    except OSError:
        sha256 = ""  # it cannot even be read
    with intake.ledger.write() as conn:
        frames.refuse(conn, printable(path), sha256, reason, log)
    return FileResult(printable(path), outcome, reason)
