"""How the processes of pytest-xdist share the tests: file by file, those that take longest first.

The tests of a file stay together and in order, for they share servers. So do the files of `tests/protocol`, the last of which
looks back on what all of them saw, those that share images of containers, and those of `tests/e2e`: several browsers at once
are too much for a small machine.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_PROTOCOL: Final = "tests/protocol/"
_CONTAINERS: Final = "tests/deploy/containers/"
_BROWSERS: Final = "tests/e2e/"
_TOGETHER: Final = (_PROTOCOL, _CONTAINERS, _BROWSERS)
# What takes minutes begins at once, and what takes moments fills the end: else one process would work on alone.
_ORDER: Final = (
    _CONTAINERS,
    "tests/stress/test_leaks.py",
    "tests/integration/test_ledger.py",
    _BROWSERS,
    _PROTOCOL,
    "tests/deploy/",
    "tests/integration/test_session_engine_topologies.py",
    "tests/integration/test_auth_redis_failover.py",
    "tests/integration/test_same_id_over_crashes.py",
    "tests/integration/test_manage.py",
    "tests/integration/test_cli.py",
    "tests/integration/test_proxies.py",
    "tests/integration/test_auth_service.py",
    "tests/stress/",
    "tests/integration/",
    "tests/conformance/",
    "tests/benchmarks/",
    "",
)


def group_of(test: str) -> str:
    """Return what a test, named by its id, shares with those that run in the same process."""
    return next((folder for folder in _TOGETHER if test.startswith(folder)), test.partition("::")[0])


def in_order(tests: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with those first that begin first; the tests of a group keep their order."""
    return sorted(tests, key=lambda test: _rank(group_of(test.nodeid)))


def _rank(group: str) -> int:
    return next(rank for rank, beginning in enumerate(_ORDER) if group.startswith(beginning))


class FileByFile(LoadScopeScheduling):
    """Gives a process that has next to nothing left the next group of tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
