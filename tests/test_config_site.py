"""site.toml: what is refused, and with which words; without the file there are defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.config import SiteSettings, load_site
from tesela.errors import ConfigError
from tesela.flow.run.engines import LocalEngine, engine_for

FARM = '[clusters.farm]\nkind = "sge"\n'


def site(folder: Path, text: str) -> SiteSettings:
    file = folder / "site.toml"
    file.write_text(text)
    return load_site(file)


def test_without_a_file_a_site_is_a_core_with_sqlite_and_processes(tmp_path: Path) -> None:
    found = load_site(tmp_path / "site.toml")
    assert found == SiteSettings()
    assert (found.role, found.engine, found.ledger.url) == ("core", "local", "")


def test_everything_can_be_set(tmp_path: Path) -> None:
    found = site(
        tmp_path,
        'name = "core"\nengine = "farm"\narrivals = ["/data/tonight"]\n'
        '[ledger]\nurl = "postgresql://tesela@db.example.org/tesela"\n'
        '[limits]\ncoadd = 4\n[clusters.farm]\nkind = "slurm"\nmax_jobs = 3\n'
        '[[send]]\nto = "archive"\nwhere = "user@host:/data/inbox"\n'
        '[alerts]\nurl = "https://example.org/hook"\n',
    )
    assert found.clusters["farm"].max_jobs == 3
    assert found.limits == {"coadd": 4}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('role = "boss"', "role: 'boss'; expected one of observatory, core, archive"),
        ('engine = "farm"', "engine: 'farm'; expected one of local"),
        ("nonsense = 1", "nonsense"),
        ('[ledger]\nurl = "mysql://x/y"', "expected postgresql://user@host/database"),
        ('[ledger]\nurl = "postgresql://a:secret@x/y"', "put it into ~/.pgpass"),
        ('[clusters.farm]\nkind = "pbs"', "expected one of sge, slurm"),
        ("[clusters.farm]\nmax_jobs = 2", "kind"),
        (FARM + "max_jobs = 0", "max_jobs: 0; expected at least 1"),
        (FARM + "min_jobs = 20", "expected at most 10"),
        (FARM + "memory_mb = 9000\nmax_memory_mb = 4000", "expected at least 9000"),
        (FARM + "idle_s = nan", "idle_s: nan"),
        (FARM + "keep_logs_days = 0", "keep_logs_days: 0"),
        ("[limits]\ncoadd = -1", "limits.coadd: -1"),
        ("keep_free_gb = inf", "keep_free_gb: inf"),
        ('[alerts]\nurl = "file:///etc/passwd"', "expected http:// or https://"),
        ('name = "a"\n[[send]]\nto = "a"\nwhere = "/x"', "send.to"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        site(tmp_path, text)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_an_engine_that_nobody_described_is_refused(tmp_path: Path) -> None:
    settings = site(tmp_path, FARM)
    with pytest.raises(
        ConfigError, match=r"expected local, farm; describe it as \[clusters.moon\]"
    ):
        engine_for(settings, "moon", 0, tmp_path)
    local = engine_for(settings, "local", 2, tmp_path)
    assert isinstance(local, LocalEngine)
    assert local.slots == 2
    assert engine_for(settings, "farm", 3, tmp_path).slots == 3
