"""What every page of the archive needs: the releases, the templates, links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tesela.errors import BadInput
from tesela.sciencedb.model import ReleaseModel
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import LATEST, Served
from tesela.vo import files
from tesela.web.archive.gate import Gate
from tesela.web.archive.settings import ArchiveSettings
from tesela.web.shared.pages import Pages


class Missing(Exception):
    """There is no such thing in the archive: a page with status 404 that tells what there is."""

    def __init__(
        self, sentence: str, do: str = "", links: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(sentence)
        self.sentence, self.do, self.links = sentence, do, links


class Archive:
    """The served releases and the pages over them; shared by all requests."""

    def __init__(self, served: Served, pages: Pages, settings: ArchiveSettings) -> None:
        self.served, self.pages, self.settings = served, pages, settings
        self.searches = Gate(settings.max_searches, wait_s=settings.search_wait_s)
        self.downloads = Gate(settings.max_downloads)

    def release(self, request: Request) -> Release:
        """The release that the path names.

        Raises
        ------
        Missing
            It is not served.
        ProductError
            It is damaged.
        """
        name = request.path_params["release"]
        try:
            return self.served.get(name)
        except BadInput:
            names = self.served.names()
            raise Missing(
                f"There is no release {name[:40]!r} here.",
                "These releases are served:" if names else "No release is published yet.",
                tuple((n, f"/{n}/") for n in names),
            ) from None

    def render(
        self, request: Request, template: str, release: Release, context: Mapping[str, Any],
        *, sky_viewer: bool = False,
    ) -> HTMLResponse:  # fmt: skip
        """A page about a release: its links above, its name below."""
        model = release.model
        root = f"/{model.name}"
        values = {
            "release": model,
            "root": root,
            "navigation": (
                ("Overview", f"{root}/"),
                ("Sky", f"{root}/sky"),
                ("Search", f"{root}/search"),
                ("Columns", f"{root}/columns"),
            ),
            "footer": self.footer(model),
            "contact": self.settings.contact,
            **context,
        }
        return self.pages.render(request, f"archive/{template}", values, sky_viewer=sky_viewer)

    def footer(self, model: ReleaseModel) -> str:
        """What a page stands on."""
        return (
            f"Release {model.name} of {model.survey}, built {model.created[:10]} "
            f"with Tesela {model.code_version}."
        )

    def base_url(self, request: Request) -> str:
        """Address of the archive as clients write it, without a slash at the end."""
        return (self.settings.base_url or str(request.base_url)).rstrip("/")


def is_versioned(request: Request, model: ReleaseModel) -> bool:
    """True if the address names the release and this state of it, so that a copy may be kept."""
    return request.query_params.get("v") == files.stamp(model) and not is_alias(request)


def is_alias(request: Request) -> bool:
    """True if the path says `latest`."""
    return request.path_params.get("release") == LATEST


def object_path(model: ReleaseModel, source_id: int) -> str:
    """Path of the page of a source."""
    return f"/{quote(model.name)}/object/{int(source_id)}"
