"""`tesela history`: what made each version."""

from __future__ import annotations

from pathlib import Path

from flow import toys
from tesela.ledger import products, provenance
from verbs import SMALL_SURVEY, well


def test_code_settings_and_environment_of_each_version(tmp_path: Path) -> None:
    ledger = toys.new_site(tmp_path)
    (tmp_path / "survey.toml").write_text(SMALL_SURVEY)
    with ledger.write() as conn:
        for version, numpy in ((1, "2.0"), (2, "2.1")):
            made = provenance.put_environment(conn, {"python": "3.12.1", "numpy": numpy})
            new = products.NewProduct(
                "coadd", "T.r", version, code_version="1.0", settings_hash="abc", environment=made
            )
            products.insert(conn, new)
        products.insert(conn, products.NewProduct("coadd", "old.r", 1, code_version="0.9"))
    ledger.close()
    said = well("history", "T.r", "--site", tmp_path).out
    assert f"made by code 1.0, settings abc, environment {made} (python 3.12.1, numpy 2.1)" in said
    assert 'environment numpy = "2.1", was "2.0"' in said
    data = well("history", "T.r", "--site", tmp_path, "--json").data
    assert data["versions"][0]["libraries"] == {"python": "3.12.1", "numpy": "2.0"}
    assert "  made by code 0.9\n" in well("history", "old.r", "--site", tmp_path).out
