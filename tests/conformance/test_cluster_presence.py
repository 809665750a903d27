"""Who is present, as one service sees it: the same whether it is alone or shares a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from session_service.core.model import Member
from session_service.core.ports import DisconnectOrder
from tests.conformance.cluster_bench import ALL, ClusterBench, Service, Told

pytestmark = pytest.mark.integration

ORDER = DisconnectOrder("tests", "w1", "alice", "why", reconnect=True)


@pytest.fixture(params=ALL)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[ClusterBench]:
    made = ALL[request.param]()
    yield made
    await made.close_all()


@pytest.fixture
async def service(bench: ClusterBench) -> Service:
    return await bench.open()


async def test_a_watcher_is_told_of_its_own_coming_and_of_others(service: Service) -> None:
    service.join("watcher", watch=True)
    await service.hears(Told("watcher", True))
    bob = service.join("bob", join_ms=2000)
    await service.hears(Told("watcher", True), Told("bob", True))
    service.leave(bob)
    await service.hears(Told("watcher", True), Told("bob", True), Told("bob", False))
    assert service.members_told[1:] == [Member("bob", "chat", 2000)] * 2


async def test_members_are_there_at_once_in_the_order_of_their_joining(service: Service) -> None:
    service.join("late", join_ms=3000)
    service.join("early", join_ms=1000)
    gone = service.join("gone", join_ms=2000)
    assert await service.present() == ["early", "gone", "late"]
    service.leave(gone)
    assert await service.present() == ["early", "late"]
    assert await service.cluster.members("tests/w1/nobody") == []


async def test_only_the_first_and_the_last_session_of_a_client_count(service: Service) -> None:
    service.join("watcher", watch=True)
    first = service.join("bob")
    second = service.join("bob", edge_id="edge-2")
    await service.hears(Told("watcher", True), Told("bob", True))
    service.leave(first)
    service.leave(second)
    await service.hears(Told("watcher", True), Told("bob", True), Told("bob", False))


async def test_whoever_comes_and_goes_at_once_leaves_nothing(service: Service) -> None:
    """Not every visit need be told of, but whoever was told to have come is told to have gone."""
    service.join("watcher", watch=True)
    await service.hears(Told("watcher", True))
    for _ in range(20):
        service.leave(service.join("moth"))
    service.join("last")
    await service.until_told(Told("last", True))
    told_of_moth = [told.joined for told in service.told if told.client_id == "moth"]
    assert told_of_moth == [True, False] * (len(told_of_moth) // 2)
    assert await service.present() == ["last", "watcher"]


async def test_without_watchers_nobody_is_told(service: Service) -> None:
    service.join("bob")
    service.leave(service.join("carol"))
    await service.sees("bob")
    service.join("watcher", watch=True, topic="tests/w1/elsewhere")
    await service.hears(Told("watcher", True, "tests/w1/elsewhere"))


async def test_a_second_session_may_be_the_one_that_watches(service: Service) -> None:
    service.join("bob")
    await service.sees("bob")
    service.join("bob", watch=True, edge_id="edge-2")
    service.join("carol")
    await service.until_told(Told("carol", True))


async def test_whoever_comes_back_with_its_edge_is_present(service: Service) -> None:
    service.join("watcher", watch=True, resumed=True)
    service.join("bob", resumed=True)
    await service.sees("bob", "watcher")
    await service.hears(Told("watcher", True), Told("bob", True))


async def test_written_counts_members_that_were_sent_a_message(service: Service) -> None:
    service.join("alice")
    service.join("bob")
    service.deliver(1)
    service.join("late", first=1)
    assert await service.cluster.written("tests/w1/chat", 1) == 2
    assert await service.cluster.written("tests/w1/chat", 2) == 0
    assert await service.cluster.written("tests/w1/nobody", 1) == 0


async def test_disconnect_counts_connections(service: Service) -> None:
    service.join("alice")
    service.join("alice", edge_id="edge-2")
    assert await service.cluster.disconnect(ORDER) == 2
    assert service.orders == [ORDER]
    assert await service.cluster.disconnect(ORDER._replace(client_id="nobody")) == 0
