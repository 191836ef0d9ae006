"""Small pictures of raw frames drawn again: they are made from the frame and sent nowhere."""

from __future__ import annotations

import io

from tesela.errors import ProductError
from tesela.flow.run.ingest import Intake
from tesela.ledger import events, frames
from tesela.products.files import write_jpeg
from tesela.sites import aside
from tesela.sites.audit import Fault


def draw_again(intake: Intake, fault: Fault) -> str:
    """Draw the lost or damaged picture of a frame from its file; returns what was done.

    Raises `ProductError` if it comes out as another (by another version of a library), `BadInput`
    if the frame cannot be read; then all is as before.
    """
    with intake.ledger.read() as conn:
        frame = frames.get(conn, fault.key)
    described = intake.describe(intake.folder / frame["path"])
    final = intake.folder / fault.path
    with aside.temporary_beside(final.with_name(f"{final.name}.again")) as temporary:
        write_jpeg(temporary, described.picture)
        drawn = temporary.read_bytes()
    try:
        aside.put_back(intake.folder, fault.path, io.BytesIO(drawn), fault.sha256)
    except ProductError as error:
        raise ProductError(
            fault.path, found="a picture that comes out otherwise today",
            do="nothing depends on it: the frame itself is sound",
        ) from error  # fmt: skip
    done = f"{fault.path} drawn again"
    with intake.ledger.write() as conn:
        events.record(conn, "repaired", kind=fault.kind, key=fault.key, detail=done)
    return done
