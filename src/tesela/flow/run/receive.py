"""Raw frames that other sites send, taken in by ingest; all else is kept by `sites` itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tesela.errors import BadInput
from tesela.flow.run.ingest import Intake, take_in
from tesela.flow.run.site import Site
from tesela.ledger import events, frames, products
from tesela.products.files import sha256_of
from tesela.sites import aside
from tesela.sites.inside import open_inside
from tesela.sites.keep import ByKind, Keeper, Places
from tesela.sites.manifest import RAW, File
from tesela.stages.ingest.describe import Described


def keeper_of(site: Site) -> Keeper:
    """Who keeps what a site with a ledger is sent."""
    return ByKind({RAW: FrameKeeper(Intake.of(site))}, Places(site.folder, apart=True))


class FrameKeeper:
    """Takes raw frames in as `ingest` does: described here, by the survey of this site.

    Parameters
    ----------
    intake : Intake
        That of the site. Files are copied into it whatever the survey says: an inbox is no place to
        stay.
    """

    def __init__(self, intake: Intake) -> None:
        self.intake = dataclasses.replace(intake, copy=True)

    def keep(self, sender: str, files: Sequence[File], folder: Path) -> list[str]:
        """Take a frame in; returns its path, relative to the site. Raises as `Keeper` says.

        A frame that is here already, and whose file is damaged or gone, gets this one.
        """
        (file,) = files
        source = folder / file.path
        intake = dataclasses.replace(self.intake, describe=self._only(file))
        (result,) = take_in(intake, [source])
        if result.outcome == "refused":
            raise BadInput(result.message)
        if result.outcome == "failed":
            raise OSError(result.message)
        row = self._current(file)
        if row["dropped_mjd"] is not None:
            raise BadInput(
                file.key, found="a frame whose file was removed here on purpose", do="keep it there"
            )
        if result.outcome == "known":
            self._mend(row["path"], file, folder)
        return [str(row["path"])]

    def place(self, sender: str, file: File) -> str:
        """Where the file of a frame is."""
        with self.intake.ledger.read() as conn:
            row = products.current(conn, RAW, file.key)
        return "" if row is None or row["dropped_mjd"] is not None else str(row["path"])

    def _only(self, file: File):  # type: ignore[no-untyped-def]
        """Describe the file that was announced, and no other that lies there now."""

        def describe(path: Path) -> Described:
            described = self.intake.describe(path)
            if described.facts.sha256 != file.sha256:
                raise BadInput(
                    path.name,
                    found=f"sha256 {described.facts.sha256[:12]}",
                    expected=f"{file.sha256[:12]}, as it was hashed a moment ago",
                    do="find out who writes into the inbox",
                )
            return described

        return describe

    def _current(self, file: File) -> dict[str, object]:
        with self.intake.ledger.read() as conn:
            frames.get(conn, file.key)
            row = products.current(conn, RAW, file.key)
        if row is None or row["checksum"] != file.sha256:
            raise BadInput(file.key, found="another frame of that name, or a retired one")
        return row

    def _mend(self, path: object, file: File, folder: Path) -> None:
        site, relative = self.intake.folder, str(path)
        try:
            if sha256_of(site / relative) == file.sha256:
                return
        except FileNotFoundError:
            pass
        if Path(relative).is_absolute():
            raise BadInput(file.key, found=f"a damaged file outside of the site: {relative}")
        with open_inside(folder, file.path) as source:
            kept = aside.put_back(site, relative, source, file.sha256)
        with self.intake.ledger.write() as conn:
            detail = f"{relative} put back from a shipment" + (f"; the old is {kept}" * bool(kept))
            events.record(conn, "repaired", kind=RAW, key=file.key, detail=detail)
