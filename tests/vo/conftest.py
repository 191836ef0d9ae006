"""A published synthetic release, served on the loopback interface."""

import io
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from astropy.io.votable import parse
from astropy.io.votable.tree import VOTableFile
from starlette.applications import Starlette

from sciencedb.synthetic import make_release
from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes
from tesela.vo.settings import VoSettings

SETTINGS = VoSettings(default_records=700, max_records=900)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    release = make_release(folder / "dr1", rows=1000, bands=("gSDSS", "rSDSS", "iSDSS"))
    (release / "hips" / "colour" / "Norder3" / "Dir0").mkdir(parents=True)
    (release / "hips" / "colour" / "properties").write_text("hips_version = 1.4\n")
    (release / "hips" / "colour" / "Norder3" / "Dir0" / "Npix1.jpg").write_bytes(bytes(range(100)))
    (release / "moc.fits").write_bytes(b"SIMPLE")
    made = Shelf(folder)
    made.publish("dr1")
    return made


@pytest.fixture(scope="session")
def app(shelf: Shelf) -> Starlette:
    return Starlette(routes=routes(Served(shelf), SETTINGS))


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Starlette], str]]:
    """Serve an application on a free port; gives its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Starlette) -> str:
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def address(serve: Callable[[Starlette], str], app: Starlette) -> str:
    return serve(app)


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections of this process to anywhere else."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, place: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert isinstance(place, tuple)
            assert place[0] in ("127.0.0.1", "::1"), f"connection to {place[0]}"
        connect(self, place)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def stilts() -> Callable[..., str]:
    """Run a task of STILTS; gives what it printed."""
    program = shutil.which("stilts")
    if program is None:
        pytest.skip("STILTS is not installed (on Debian: apt-get install stilts)")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], check=False, capture_output=True, text=True, timeout=120
        )
        return done.stdout + done.stderr

    return run


@pytest.fixture
def lint(stilts: Callable[..., str], tmp_path: Path) -> Callable[[bytes], str]:
    """What STILTS votlint says of a document; nothing if it is right."""

    def check(document: bytes) -> str:
        path = tmp_path / "document.xml"
        path.write_bytes(document)
        return stilts("votlint", str(path))

    return check


def read(document: bytes, *, strict: bool = True) -> VOTableFile:
    """Read a VOTable; astropy knows the UCDs of 2002 only when it is not strict."""
    return parse(io.BytesIO(document), verify="exception" if strict else "ignore")


def status(document: bytes) -> list[str]:
    """Values of QUERY_STATUS in their order, and the sentence of the last."""
    infos = read(document, strict=False).resources[0].infos
    return [info.value for info in infos if info.name == "QUERY_STATUS"]


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal, with NaN equal to NaN."""
    return np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=True)
