"""An observatory, a core and an archive, in folders of one machine; frames of a few bytes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flow import toys
from tesela.config import Send
from tesela.errors import BadInput
from tesela.flow.run.ingest import Intake, take_in
from tesela.flow.run.receive import FrameKeeper
from tesela.ledger import products, schema
from tesela.ledger.engine import Ledger
from tesela.products import paths
from tesela.products.files import sha256_of
from tesela.sites import manifest
from tesela.sites.installation import Installation
from tesela.sites.keep import ByKind, Places
from tesela.sites.manifest import File, Manifest
from tesela.sites.receive import Receiver, Told
from tesela.sites.send import Sender, Sent
from tesela.stages.ingest.describe import Described

NIGHT = "2017-07-03"


def describe(path: Path) -> Described:
    """A toy's header: the file begins with `TOY <obstype> <pixels>`; anything else is no frame."""
    text = path.read_bytes()
    if not text.startswith(b"TOY "):
        raise BadInput(path.name, found=repr(text[:9]), expected="TOY", do="leave it out")
    _, obstype, pixels = text.decode("latin-1").split(maxsplit=2)
    facts = toys.facts(path.stem, obstype, sha256=sha256_of(path), data_sha256=pixels[:200])
    return Described(dataclasses.replace(facts, path=str(path)), np.full((3, 4, 3), 90, np.uint8))


def make(
    folder: Path, name: str, role: str, sends: Sequence[Send] = (), more: str = ""
) -> Installation:
    """Make a site; an archive is a folder with a site.toml and nothing else."""
    if role == "archive":
        folder.mkdir(parents=True)
    else:
        toys.new_site(folder).close()
    file = paths.site_file(folder)
    ledger = file.read_text() if file.exists() else ""
    tables = "".join(_send(one) for one in sends)
    file.write_text(f'name = "{name}"\nrole = "{role}"\n{more}{ledger}{tables}')
    (folder / "inbox").mkdir()
    return Installation.open(folder)


def _send(one: Send) -> str:
    lines = [f'to = "{one.to}"', f'where = "{one.where}"', f"kinds = {list(one.kinds)}"]
    lines += [f'base = "{one.base}"'] if one.base else []
    lines += [f"shell = '{one.shell}'"] if one.shell else []
    lines += [f"batch_files = {one.batch_files}"]
    return "[[send]]\n" + "\n".join(lines) + "\n"


def intake(site: Installation) -> Intake:
    """How a site takes frames in."""
    return Intake(site.folder, ledger_of(site), toys.rules(), describe)


def ledger_of(site: Installation) -> Ledger:
    """The ledger of a site that has one."""
    assert site.ledger is not None
    return site.ledger


def observe(site: Installation, *names: str, size: int = 100, obstype: str = "science") -> None:
    """Take frames and ingest them; their content follows from the name."""
    camera = site.folder.with_name("camera")
    camera.mkdir(exist_ok=True)
    for name in names:
        (camera / f"{name}.fits").write_bytes(content(name, size, obstype))
        (result,) = take_in(intake(site), [camera / f"{name}.fits"])
        assert result.outcome == "taken", result


def content(name: str, size: int = 100, obstype: str = "science") -> bytes:
    """The bytes of a frame."""
    seed = sum(map(ord, name))
    noise = np.random.default_rng(seed).integers(97, 123, size, np.uint8).tobytes()
    return f"TOY {obstype} {name}".encode() + noise


def receiver(site: Installation, settle_s: float = 60.0) -> Receiver:
    """Who takes in what comes."""
    if site.ledger is None:
        return Receiver(site, Places(site.folder, apart=False), settle_s)
    frames = FrameKeeper(intake(site))
    return Receiver(site, ByKind({"raw": frames}, Places(site.folder, apart=True)), settle_s)


def receive(site: Installation, settle_s: float = 60.0) -> list[Told]:
    """One look at the inbox."""
    with receiver(site, settle_s).at_work() as at_work:
        return list(at_work.once())


def send(site: Installation, to: str) -> Sent:
    """One round."""
    way = site.way_to(to)
    assert way is not None
    with Sender(site, way).at_work() as sender:
        return sender.once()


def replicas(site: Installation) -> set[tuple[str, str]]:
    """(key, site) of all copies."""
    query = schema.replica.join(schema.product).select()
    with ledger_of(site).read() as conn:
        return {(row.key, row.site) for row in conn.execute(query)}


def raw(name: str) -> str:
    """Where the file of a frame is, in each site."""
    return f"raw/{NIGHT}/{name}.fits"


def add_product(
    site: Installation, kind: str, key: str, contents: Sequence[bytes], version: int = 1
) -> None:
    """Commit a product with some files."""
    files = []
    for n, text in enumerate(contents):
        path = f"products/{kind}/{key}.v{version}.{n}.txt"
        (site.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (site.folder / path).write_bytes(text)
        files.append((path, sha256_of(site.folder / path), len(text)))
    with ledger_of(site).write() as conn:
        new = products.NewProduct(
            kind, key, version, path=files[0][0], files=tuple(files), checksum=files[0][1]
        )
        products.insert(conn, new)


SHIPMENT = "obs.core.20170703T213000000.0123abcd"
"""The name of a shipment that a test makes by itself."""


def entry(name: str, content_: bytes = b"TOY science x", **changes: object) -> File:
    """A file of a manifest: a raw frame."""
    sha256 = hashlib.sha256(content_).hexdigest()
    made = File(raw(name), len(content_), sha256, "raw", name, 1)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def put_shipment(
    site: Installation,
    files: Sequence[tuple[File, bytes | None]],
    text: bytes | None = None,
    sender: str = "obs",
    name: str = SHIPMENT,
) -> Path:
    """Write a shipment into an inbox by hand, as anybody could who may write there."""
    folder = site.inbox / sender / name
    for file, content_ in files:
        if content_ is not None:
            path = folder / manifest.FILES / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content_)
    folder.mkdir(parents=True, exist_ok=True)
    made = Manifest(name, sender, site.name, 57937.9, tuple(file for file, _ in files))
    (folder / manifest.NAME).write_bytes(made.text().encode() if text is None else text)
    return folder
