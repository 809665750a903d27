"""What tests need beyond Python: where it is missing they are skipped, and where it must be there (CI) they fail."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

MUST_BE_THERE = "TIDEWIRE_TEST_ALL_INSTALLED"


def skip_without(what: str) -> NoReturn:
    """Skip the test for want of something that `manage.py test` installs where it can; with the variable set, fail."""
    if os.environ.get(MUST_BE_THERE):
        pytest.fail(f"{what} is missing, and {MUST_BE_THERE} says that everything installable is there")
    pytest.skip(f"needs {what}: `manage.py test` installs it where it can")


def skip_uninstallable(what: str, why: str) -> NoReturn:
    """Skip the test for want of something that nothing installs any more, on CI neither."""
    pytest.skip(f"needs {what}, which `manage.py test` cannot install: {why}")
