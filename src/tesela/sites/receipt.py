"""The receipt of a shipment: what a site found when it hashed each file by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tesela.errors import BadInput
from tesela.products.files import make_folder, replace_text
from tesela.sites import manifest
from tesela.sites.manifest import File

RECEIPTS: Final = "receipts"
"""Folder in an inbox, below the name of a site, with what there is for that site to fetch."""
FORMAT: Final = 1
VERIFIED, REFUSED, DAMAGED, MISSING = "verified", "refused", "damaged", "missing"
"""Kept, with the right checksum; sound, but not taken; other bytes than announced; asked about,
and not there."""
_STATES = (VERIFIED, REFUSED, DAMAGED, MISSING)
_LONGEST = 2000


@dataclass(frozen=True)
class Found:
    """What became of one file."""

    file: File
    state: str
    sha256: str = ""
    """As the receiver computed it; '' if it could not."""
    reason: str = ""
    kept: str = ""
    """Where the receiver keeps it, relative to its folder."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `announced` is what the manifest said."""
        said = vars(self.file) | {"announced": self.file.sha256, "sha256": self.sha256}
        return {**said, "state": self.state, "reason": self.reason, "kept": self.kept}

    @classmethod
    def of(cls, entry: Any, what: str) -> Found:
        """Read what `as_dict` wrote; raises `BadInput`."""
        if not isinstance(entry, dict):
            raise BadInput(what, found=repr(entry)[:100], expected="an object for each file")
        file = manifest.check_file(what, {**entry, "sha256": entry.get("announced")})
        state, sha256 = entry.get("state"), entry.get("sha256")
        if state not in _STATES:
            raise BadInput(what, found=repr(state)[:100], expected=f"one of {', '.join(_STATES)}")
        if sha256 != "":
            manifest.check_file(what, entry)
        words = [entry.get(name) for name in ("reason", "kept")]
        if not all(isinstance(word, str) and len(word) <= _LONGEST for word in words):
            raise BadInput(what, found=f"{file.path} with odd words", expected="short texts")
        return cls(file, state, str(sha256), str(words[0]), str(words[1]))


@dataclass(frozen=True)
class Receipt:
    """The answer to a shipment."""

    shipment: str
    sender: str
    """Whose shipment it was."""
    by: str
    """Who answers."""
    at_mjd: float
    files: tuple[Found, ...] = ()
    refused: str = ""
    """Why the shipment was refused whole."""
    strangers: tuple[str, ...] = ()
    """Files that came and were in no manifest: none was taken."""

    def text(self) -> str:
        """The JSON."""
        content = {
            "format": FORMAT,
            "shipment": self.shipment,
            "from": self.sender,
            "by": self.by,
            "at_mjd": self.at_mjd,
            "refused": self.refused,
            "strangers": list(self.strangers),
            "files": [found.as_dict() for found in self.files],
        }
        return json.dumps(content, indent=1) + "\n"


def read(text: bytes, what: str) -> Receipt:
    """Read a receipt; raises `BadInput` for anything that is not one."""
    content = manifest.load_object(text, what)
    if content.get("format") != FORMAT:
        raise BadInput(what, found=repr(content.get("format"))[:100], expected=f"format {FORMAT}")
    shipment, refused = content.get("shipment"), content.get("refused")
    if not isinstance(shipment, str) or not manifest.is_name(shipment):
        raise BadInput(what, found=repr(shipment)[:100], expected="the name of a shipment")
    if not isinstance(refused, str):
        raise BadInput(what, found=repr(refused)[:100], expected="a reason, or ''")
    listed, strangers = content.get("files"), content.get("strangers")
    if not isinstance(listed, list) or not isinstance(strangers, list):
        raise BadInput(what, found="no lists", expected="files and strangers")
    return Receipt(
        shipment=shipment,
        sender=manifest.check_site_name(what, content.get("from")),
        by=manifest.check_site_name(what, content.get("by")),
        at_mjd=manifest.number(what, content.get("at_mjd")),
        files=tuple(Found.of(entry, what) for entry in listed),
        refused=refused[:_LONGEST],
        strangers=tuple(str(name)[:_LONGEST] for name in strangers),
    )


def leave(folder: Path, answer: Receipt) -> None:
    """Put a receipt into the folder of the site, in our inbox, that will fetch it."""
    make_folder(folder / RECEIPTS)
    replace_text(folder / RECEIPTS / f"{answer.shipment}.json", answer.text())
