"""The night of tests/night, and a batch system that is up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from night.conftest import done, night

from .farm import FARMS, Farm, up

__all__ = ["done", "night"]


@pytest.fixture(params=list(FARMS), scope="session")
def farm(request: pytest.FixtureRequest) -> Iterator[Farm]:
    found = FARMS[request.param]
    up(found.script)
    yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They need a machine of their own: `make test-cluster`."""
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker("cluster")
