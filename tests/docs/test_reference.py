"""The reference says what the program says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("columns.md", "mask.md", "settings.md", "commands.md", "conditions.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(generate: ModuleType, name: str) -> None:
    stored = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert stored == generate.pages()[name], "run: python docs/generate.py"


def test_there_are_no_other_pages(generate: ModuleType) -> None:
    stored = {path.name for path in (DOCS / "reference").iterdir()}
    assert stored == set(generate.pages()) == set(PAGES)


def test_every_verb_setting_column_and_code_is_there(generate: ModuleType) -> None:
    from tesela.cli.main import VERBS
    from tesela.products.columns import TABLES
    from tesela.products.maskbit import MaskBit
    from tesela.products.starlist import STAR_LISTS

    pages = generate.pages()
    for verb in VERBS:
        assert f"`tesela {verb}" in pages["commands.md"]
    for table, columns in {**STAR_LISTS, **TABLES}.items():
        section = pages["columns.md"].partition(f"### `{table}`")[2].partition("\n### ")[0]
        for name, column in columns.items():
            cell = f"| **`{name}`** |" if column.required else f"| `{name}` |"
            assert cell in section
    assert "`tesela release build`" in pages["commands.md"]
    for bit in MaskBit:
        assert f"| {int(bit)} | `{bit.name}` |" in pages["mask.md"]
    keys = ("validity_days", "mesh_px", "max_offset_arcsec", "injections", "saturation_adu")
    keys += ("detection_band", "restricted_factor", "min_stars_colour", "odds_half_width")
    for key in (*keys, "hips_order"):
        assert f"| `{key}` |" in pages["settings.md"]
