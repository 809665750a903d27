from __future__ import annotations

import resource

import pytest

from service_runtime import open_files
from service_runtime.open_files import UNLIMITED

Limits = tuple[int, int]


class Kernel:
    """Has a limit, and may refuse to raise it."""

    def __init__(self, soft: int, hard: int, highest: int = UNLIMITED) -> None:
        self.limits: Limits = (soft, hard)
        self._highest = highest

    def getrlimit(self, what: int) -> Limits:
        assert what == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, what: int, limits: Limits) -> None:
        assert what == resource.RLIMIT_NOFILE
        if limits[0] > self._highest:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


def with_kernel(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    monkeypatch.setattr(resource, "getrlimit", kernel.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", kernel.setrlimit)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 20_000, 20_000),
        (20_000, 20_000, 20_000),
        (1024, resource.RLIM_INFINITY, UNLIMITED),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, UNLIMITED),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int
) -> None:
    kernel = Kernel(soft, hard)
    with_kernel(monkeypatch, kernel)
    assert open_files.raise_limit() == expected
    assert open_files.limit() == expected
    assert kernel.limits[1] == hard


def test_a_system_that_refuses_leaves_it_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with_kernel(monkeypatch, Kernel(256, resource.RLIM_INFINITY, highest=10_240))
    assert open_files.raise_limit() == 256


def test_no_limit_is_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_kernel(monkeypatch, Kernel(resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert open_files.limit() == UNLIMITED
