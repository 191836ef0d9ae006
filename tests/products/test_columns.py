"""What the table of columns says of itself."""

from __future__ import annotations

import pytest
from astropy.io.votable.ucd import check_ucd

from tesela.products.columns import DUAL, OBJECTS, PER_BAND, TABLES, Column
from tesela.products.starlist import STAR_LISTS


def _all() -> list[Column]:
    return [
        column for table in (*TABLES.values(), *STAR_LISTS.values()) for column in table.values()
    ]


@pytest.mark.parametrize("ucd", sorted({column.ucd for column in _all()}))
def test_ucds_are_of_the_vocabulary(ucd: str) -> None:
    assert check_ucd(ucd, check_controlled_vocabulary=True, has_colon=False)


@pytest.mark.parametrize("table", [DUAL, OBJECTS])
def test_a_zero_that_can_stand_for_absence_is_told(table: dict[str, Column]) -> None:
    for column in table.values():
        if column.length == PER_BAND and column.dtype.startswith("int") and not column.required:
            assert "0 if none or no image" in column.description or (
                "0 in a band without an image" in column.description
            ), column.name
    if "photoz_template" in table:
        assert "0 without a redshift" in table["photoz_template"].description


def test_only_limits_are_called_limits() -> None:
    """Percentiles and the peak of a distribution are no smallest or largest values."""
    limits = {c.name for c in _all() if c.ucd.endswith(("stat.min", "stat.max"))}
    assert limits == {"peak", "depth_psf_mag", "depth_3arcsec_mag"}
