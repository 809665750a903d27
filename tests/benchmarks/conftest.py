"""The generator needs a compiler."""

from __future__ import annotations

import pytest

from benchmarks.load.program import missing
from tests.support.requirements import skip_without


@pytest.fixture(scope="session")
def compiler() -> None:
    """Skip without a C compiler."""
    lack = missing()
    if lack:
        skip_without(lack)
