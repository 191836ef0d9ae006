"""Shipments on their way to one site, and what is known of what is still to go.

NAME.json     which products a shipment has; it is written first and removed last
NAME/         the shipment as it is sent: manifest.json, and files/ of links to the files
state.json    up to which product everything went, and which are to be tried again
receipts/     fetched, and not worked through yet
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.products.files import make_folder, replace_text
from tesela.sites import manifest
from tesela.sites.manifest import Manifest
from tesela.sites.packing import Packed
from tesela.sites.receipt import RECEIPTS

_STATE = "state.json"
_FIRST_DELAY_S = 60.0
_LONGEST_DELAY_S = 86400.0


@dataclass
class Again:
    """A product that did not get there."""

    tries: int
    not_before: float
    """MJD."""
    reason: str


@dataclass
class State:
    """How far a site is served."""

    after: int = 0
    """Products of these kinds up to this id went, are on their way, or are in `again`."""
    kinds: tuple[str, ...] = ()
    again: dict[int, Again] = field(default_factory=dict)

    def due(self) -> list[int]:
        """Products whose time to be tried again has come."""
        now = now_mjd()
        return sorted(product for product, one in self.again.items() if one.not_before <= now)

    def try_again(self, product: int, reason: str) -> bool:
        """Note that a product did not get there; whether that is news."""
        before = self.again.get(product)
        tries = before.tries + 1 if before else 1
        delay_s = min(_FIRST_DELAY_S * 4 ** (tries - 1), _LONGEST_DELAY_S)
        self.again[product] = Again(tries, now_mjd() + delay_s / SECONDS_A_DAY, reason)
        return before is None or before.reason != reason


@dataclass(frozen=True)
class Note:
    """A shipment on its way."""

    shipment: str
    products: dict[int, tuple[str, str, int]]
    """Kind, key and version by id."""
    pushed_mjd: float = 0.0
    """When all of it was sent; 0 if that is still to be done."""


class Outbox:
    """The shipments to one site."""

    def __init__(self, folder: Path, sender: str, to: str) -> None:
        self.folder, self.sender, self.to = folder, sender, to

    def parcel(self, shipment: str) -> Path:
        """The folder that is sent."""
        return self.folder / shipment

    @property
    def receipts(self) -> Path:
        """Where fetched receipts lie."""
        return self.folder / RECEIPTS

    def prepare(self) -> None:
        """Make the folders; remove what an interrupted packing left."""
        make_folder(self.receipts)
        known = {note.shipment for note in self.notes() if self.parcel(note.shipment).is_dir()}
        for path in list(self.folder.iterdir()):
            name = path.name.removeprefix(".").removesuffix(".json")
            if manifest.is_name(name) and (path.name.startswith(".") or name not in known):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def notes(self) -> list[Note]:
        """Shipments on their way, the oldest first."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if not manifest.is_name(path.stem):
                continue
            content = json.loads(path.read_text(encoding="utf-8"))
            products = {int(i): (k, y, v) for i, k, y, v in content["products"]}
            found.append(Note(path.stem, products, content["pushed_mjd"]))
        return found

    def note(self, shipment: str) -> Note | None:
        """Return a shipment that is on its way, or None."""
        return next((note for note in self.notes() if note.shipment == shipment), None)

    def sent(self, shipment: str) -> Manifest:
        """What was sent."""
        text = (self.parcel(shipment) / manifest.NAME).read_bytes()
        return manifest.read(text, shipment=shipment, sender=self.sender, to=self.to)

    def add(self, packed: Sequence[Packed], purpose: str = manifest.COPY) -> Manifest:
        """Make a shipment of some products; until it is whole nothing of it is sent."""
        name = manifest.new_name(self.sender, self.to)
        files = tuple(file for one in packed for file in one.files)
        made = Manifest(name, self.sender, self.to, now_mjd(), files, purpose)
        self._write_note(
            Note(name, {one.product_id: one.files[0].product for one in packed if one.files})
        )
        building = self.folder / f".{name}"
        building.mkdir()
        if purpose == manifest.COPY:
            for one in packed:
                for file, source in zip(one.files, one.sources):
                    link = building / manifest.FILES / file.path
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(source)
        replace_text(building / manifest.NAME, made.text())
        building.rename(self.parcel(name))
        return made

    def leave_out(self, note: Note, products: Sequence[int]) -> Note:
        """Take products out of a shipment whose files are gone meanwhile."""
        names = {note.products[product] for product in products}
        was = self.sent(note.shipment)
        folder = self.parcel(note.shipment)
        left = tuple(file for file in was.files if file.product not in names)
        made = Manifest(was.shipment, was.sender, was.to, was.packed_mjd, left, was.purpose)
        replace_text(folder / manifest.NAME, made.text())
        for file in was.files:
            if file.product in names:
                (folder / manifest.FILES / file.path).unlink(missing_ok=True)
        kept = {id_: name for id_, name in note.products.items() if id_ not in products}
        new = Note(note.shipment, kept)
        self._write_note(new)
        return new

    def gone(self, note: Note) -> list[int]:
        """Products of a shipment of which a file is not there any more."""
        folder = self.parcel(note.shipment) / manifest.FILES
        missing = {
            file.product
            for file in self.sent(note.shipment).files
            if not (folder / file.path).is_file()
        }
        return [id_ for id_, name in note.products.items() if name in missing]

    def pushed(self, note: Note) -> None:
        """Note that all of a shipment was sent."""
        self._write_note(Note(note.shipment, note.products, now_mjd()))

    def discard(self, shipment: str) -> None:
        """Forget a shipment; the files it had links to stay."""
        shutil.rmtree(self.parcel(shipment), ignore_errors=True)
        (self.folder / f"{shipment}.json").unlink(missing_ok=True)

    def _write_note(self, note: Note) -> None:
        products = [[id_, *name] for id_, name in note.products.items()]
        content = {"products": products, "pushed_mjd": note.pushed_mjd}
        replace_text(self.folder / f"{note.shipment}.json", json.dumps(content) + "\n")

    def state(self, kinds: Sequence[str]) -> State:
        """How far the site is served; from the beginning if other kinds are to go now."""
        try:
            content = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            again = {
                int(product): Again(int(tries), float(not_before), str(reason))
                for product, (tries, not_before, reason) in content["again"].items()
            }
            found = State(int(content["after"]), tuple(content["kinds"]), again)
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            found = State()  # without it, or with a damaged one, everything is looked at again
        if found.kinds != tuple(kinds):
            return State(0, tuple(kinds), found.again)
        return found

    def write_state(self, state: State) -> None:
        """Keep how far the site is served."""
        again = {
            str(product): [one.tries, one.not_before, one.reason]
            for product, one in state.again.items()
        }
        content = {"after": state.after, "kinds": list(state.kinds), "again": again}
        replace_text(self.folder / _STATE, json.dumps(content) + "\n")

    def fetched(self) -> Iterator[Path]:
        """Receipts that are here and not worked through, in the order of their shipments."""
        if self.receipts.is_dir():
            yield from sorted(self.receipts.glob("[!.]*.json"))
