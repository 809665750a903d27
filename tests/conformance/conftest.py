"""Each conformance test runs once for every engine, or for every key store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth_service.core.ports import KeyStore
from tests.conformance.engine_bench import EngineBench, EngineUser
from tests.conformance.engine_factories import ENGINES
from tests.conformance.key_stores import STORES, RedisBench, StoreBench


@pytest.fixture(params=ENGINES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineBench]:
    """A store of one engine, empty at first."""
    made = ENGINES[request.param](tmp_path)
    yield made
    await made.close_all()


@pytest.fixture
async def user(bench: EngineBench) -> EngineUser:
    """An engine with the usual options."""
    return await bench.open()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[None]:
    """Ends the Redis servers that the key stores' benches share, when the last test has run."""
    yield
    RedisBench.stop_servers()


@pytest.fixture(params=STORES)
async def store_bench(request: pytest.FixtureRequest, tmp_path: Path, shared_redis: None) -> AsyncIterator[StoreBench]:
    """A key store of one kind, empty at first."""
    made = STORES[request.param](tmp_path)
    yield made
    await made.close_all()


@pytest.fixture
async def store(store_bench: StoreBench) -> KeyStore:
    """A key store with the usual options."""
    return await store_bench.open()
