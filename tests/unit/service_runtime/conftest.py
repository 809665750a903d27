"""What the tests of the runtime share: an environment without the settings of whoever runs them."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Take every setting out of the environment."""
    for name in list(os.environ):
        if name.upper().startswith("TIDEWIRE_"):
            monkeypatch.delenv(name)
    return monkeypatch
