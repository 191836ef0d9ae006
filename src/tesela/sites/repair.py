"""Repair: a damaged or missing file comes back from another site that verified a copy of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tesela.errors import SiteAway, TeselaError, TransferError
from tesela.ledger import events, replicas
from tesela.products import paths
from tesela.products.files import make_folder, sha256_of
from tesela.sites import aside, rsync
from tesela.sites.audit import Fault
from tesela.sites.installation import Installation


def repair(here: Installation, fault: Fault) -> str:
    """Fetch a sound copy of a file and put it in place, in one step; returns what was done.

    The damaged one goes into the quarantine. Raises `TransferError`, with the reasons of each site,
    if no sound copy can be had; then all is as before.
    """
    ledger = here.its_ledger("which knows the copies")
    if fault.product_id is None or not fault.sha256:
        raise _impossible(fault, "no checksum to verify a copy with")
    if Path(fault.path).is_absolute():
        raise _impossible(fault, "a file outside of the site")
    with ledger.read() as conn:
        (product,) = replicas.of_ids(conn, [fault.product_id])
        copies = replicas.of_product(conn, fault.product_id)
    reasons = []
    for copy in copies:
        where = _path_there(product, copy, fault)
        if copy["checksum"] != product["checksum"] or not where:
            continue
        try:
            return _fetch(here, copy["site"], where, fault)
        except TeselaError as error:
            reasons.append(f"{copy['site']}: {error}")
    raise _impossible(fault, "; ".join(reasons) or "no verified copy of it at another site")


def _path_there(product: Mapping[str, Any], copy: Mapping[str, Any], fault: Fault) -> str:
    """Where another site keeps the file: it keeps a product in one piece, below some folder."""
    kept, main = str(copy["path"]), str(product["path"])
    if fault.is_main or not kept:
        return kept
    return kept.removesuffix(main) + fault.path if kept.endswith(main) else ""


def _fetch(here: Installation, site: str, where: str, fault: Fault) -> str:
    send = here.way_to(site)
    if send is None:
        raise TransferError("no [[send]] to it in site.toml")
    folder = paths.transfer_folder(here.folder)
    make_folder(folder)
    fetched = folder / f"repair.{os.getpid()}"
    fetched.unlink(missing_ok=True)
    try:
        if not rsync.fetch(send, where, fetched):
            raise SiteAway(f"no file {where} there, or it may not be read")
        if (found := sha256_of(fetched)) != fault.sha256:
            _forget(here, site, fault, found)
            raise TransferError(f"its copy is damaged: sha256 {found[:12]}")
        with fetched.open("rb") as source:
            kept = aside.put_back(here.folder, fault.path, source, fault.sha256)
    except OSError as error:
        raise TransferError(f"{fault.path}: {error}") from error
    finally:
        fetched.unlink(missing_ok=True)
    done = f"{fault.path} fetched from {site}" + (f"; the old is {kept}" if kept else "")
    with here.its_ledger("which knows the copies").write() as conn:
        detail = f"{fault.what}: {done}"
        events.record(conn, "repaired", kind=fault.kind, key=fault.key, detail=detail)
    return done


def _forget(here: Installation, site: str, fault: Fault, found: str) -> None:
    """A copy that came, and is another: it is none, and nothing may rely on it any more."""
    if fault.product_id is None:
        return
    with here.its_ledger("which knows the copies").write() as conn:
        replicas.remove(conn, fault.product_id, site)
        detail = f"sha256 {found[:12]} at {site}, expected {fault.sha256[:12]}"
        events.record(conn, "copy damaged", kind=fault.kind, key=fault.key, detail=detail)


def _impossible(fault: Fault, reason: str) -> TransferError:
    return TransferError(
        fault.path,
        found=reason,
        expected="a sound copy",
        do="put it back from a backup; what a step made, `tesela restore` makes again",
    )
