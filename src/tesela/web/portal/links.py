"""The addresses of the portal's pages, each made in this one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from tesela.web.portal.pictures import Look

TILE_KINDS: Final = ("dual", "zeropoints", "valueadded", "science")
"""Products of a whole tile, in the order in which they are made."""


def night(name: str) -> str:
    """A night as a report."""
    return f"/night/{quote(name, safe='')}"


def frame(name: str) -> str:
    """A frame with all that is known of it."""
    return f"/frame/{quote(name, safe='')}"


def exposure(key: str) -> str:
    """An exposure with its CCDs."""
    return f"/exposure/{quote(key, safe='')}"


def tile(name: str) -> str:
    """A tile in all bands."""
    return f"/tile/{quote(name, safe='')}"


def product(kind: str, key: str) -> str:
    """The page on which a product is shown best."""
    if kind in ("raw", "reduced"):
        return frame(key)
    if kind in TILE_KINDS:
        return tile(key)
    return product_alone(kind, key)


def product_alone(kind: str, key: str) -> str:
    """A product with its own numbers, inputs and history."""
    return f"/product/{quote(kind, safe='')}/{quote(key, safe='')}"


def lineage(kind: str, key: str, *, version: int = 0, forward: bool = False) -> str:
    """What a version was made from, or was made with it; 0 is the one that is served."""
    chosen = {"version": str(version) if version else "", "forward": "1" if forward else ""}
    return with_query(f"/lineage/{quote(kind, safe='')}/{quote(key, safe='')}", chosen)


def both_lineages(kind: str, key: str) -> dict[str, str]:
    """`back` and `forward` of the version that is served."""
    return {"back": lineage(kind, key), "forward": lineage(kind, key, forward=True)}


def picture(kind: str, key: str, version: str, look: Look) -> str:
    """A picture; the address holds the version of the file, so a browser may keep it for ever."""
    base = frame(key) if kind in ("raw", "reduced", "quicklook") else product(kind, key)
    of = "&of=raw" if kind == "raw" else ""
    return f"{base}/picture.jpg?{look.query}{of}&v={quote(version, safe='')}"


def file(kind: str, key: str, version: int, name: str, checksum: str) -> str:
    """A file of a version of a product; the address holds its checksum, as that of a picture."""
    of = f"{product_alone(kind, key)}/files/{version}/{quote(name, safe='')}"
    return f"{of}?v={quote(checksum[:12], safe='')}"


def masters(**chosen: str) -> str:
    """The masters, or those of a kind, state, filter, detector or night."""
    return with_query("/masters", chosen)


def detector(name: str, **chosen: str) -> str:
    """What the monitors follow of a CCD and read-out mode."""
    return with_query(f"/detector/{quote(name, safe='')}", chosen)


def with_query(path: str, chosen: Mapping[str, str]) -> str:
    """A path with a query of what is not empty."""
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{path}?{query}" if query else path


def any_name(kind: str, name: str) -> str:
    """The page of something found by name: a frame, an exposure, a tile or a product."""
    if kind == "exposure":
        return exposure(name)
    return tile(name) if kind == "tile" else product(kind, name)
