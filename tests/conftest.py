"""Fixtures that all tests share: the gateway as real processes, and clients for it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.key_admin import KeyAdmin, MadeKey
from tests.support.protocol_client import Clients
from tests.support.scheduling import FileByFile, in_order
from tests.support.services import Gateway
from tests.support.target import Target

# Between services that nothing is done to: a slow machine is no fault.
PATIENCE_S = 20


def pytest_configure() -> None:
    """Have processes that tests start end by signals, also when whoever runs the tests ignores them (`nohup`, `&`).

    An example that takes long on a machine that does much else is no finding: no test of examples is timed.
    """
    settings.register_profile("tidewire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("tidewire")
    for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first where several processes share the tests."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = in_order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    """Share the tests file by file."""
    config.option.loadscopereorder = False
    return FileByFile(config, log)


def _run_gateway(gateway: Gateway) -> Iterator[Gateway]:
    with gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for tests that neither kill nor stop anything."""
    edge = {"auth-deadline-s": PATIENCE_S, "session-deadline-s": PATIENCE_S}
    session = {"auth-deadline-s": PATIENCE_S}
    yield from _run_gateway(Gateway(tmp_path_factory.mktemp("shared-gateway"), edge=edge, session=session))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of this module's own, whose processes it may kill, stop and restart."""
    if Target.from_environment() is not None:
        pytest.skip("controls processes, so it needs a gateway of its own")
    yield from _run_gateway(Gateway(tmp_path_factory.mktemp("gateway")))


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """What black-box tests talk to."""
    return Target.from_environment() or Target.of(request.getfixturevalue("shared_gateway"))


@pytest.fixture(scope="session")
def key_admin(target: Target) -> KeyAdmin:
    """Makes and changes keys."""
    if target.key_admin is None:
        pytest.skip("needs TIDEWIRE_TEST_AUTH_TARGET")
    return target.key_admin


@pytest.fixture
def make_key(key_admin: KeyAdmin) -> Callable[..., MadeKey]:
    """Makes keys."""
    return key_admin.create


@pytest.fixture(params=["client", "debug"])
def endpoint(request: pytest.FixtureRequest, target: Target) -> str:
    """Both endpoints of the WebSocket."""
    if request.param == "debug" and not target.has_debug:
        pytest.skip("the debug endpoint is off there")
    return str(request.param)


@pytest.fixture
async def clients(target: Target, endpoint: str) -> AsyncIterator[Clients]:
    """Makes clients, on both endpoints."""
    async with Clients(target, debug=endpoint == "debug") as made:
        yield made


@pytest.fixture
async def plain_clients(target: Target) -> AsyncIterator[Clients]:
    """Makes clients, on the endpoint of applications only."""
    async with Clients(target) as made:
        yield made


@pytest.fixture
async def clients_of() -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of any target: `clients_of(target)`."""
    everyone: list[Clients] = []

    def make(target: Target, **more: Any) -> Clients:
        everyone.append(Clients(target, **more))
        return everyone[-1]

    yield make
    for made in everyone:
        await made.__aexit__()
