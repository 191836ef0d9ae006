"""What a site needs to be one, and what others may call it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import ConfigError
from tesela.products import paths
from tesela.sites.installation import Installation

from . import three
from .conftest import Three


@pytest.mark.parametrize("name", ["../core", "a/b", "", ".hidden", "a b", "x" * 33, "a.b", "-rf"])
def test_a_name_that_would_be_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = paths.site_file(tmp_path)
    for text in (f'name = "{name}"\n', f'[[send]]\nto = "{name}"\nwhere = "/data/inbox"\n'):
        file.write_text(text)
        with pytest.raises(ConfigError, match="it names folders at other sites"):
            Installation.open(tmp_path)


def test_an_archive_is_a_folder_with_a_site_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither survey.toml nor site.toml"):
        Installation.open(tmp_path)
    paths.site_file(tmp_path).write_text('name = "archive"\nrole = "archive"\n')
    here = Installation.open(tmp_path)
    assert (here.name, here.ledger, here.inbox) == ("archive", None, tmp_path / "inbox")
    with pytest.raises(ConfigError, match="an archive, which has no ledger"):
        here.its_ledger("to ask it")
    assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]


def test_a_site_knows_its_ways(sites: Three) -> None:
    way = sites.obs.way_to("core")
    assert way is not None and way.where == str(sites.core.inbox)
    assert sites.obs.way_to("archive") is None
    assert three.ledger_of(sites.obs) is sites.obs.ledger
