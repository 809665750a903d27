"""The order of the protocol suite: what looks back on the whole of it comes last."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests marked `runs_last` to the end."""
    items.sort(key=lambda item: item.get_closest_marker("runs_last") is not None)
