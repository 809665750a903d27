"""A cluster of one says at once what is true, and nothing of members who only came back with their edge."""

from __future__ import annotations

from session_service.adapters.cluster_local import LocalCluster
from session_service.core.hub import Hub
from session_service.core.model import Member
from session_service.core.ports import DisconnectOrder
from tests.unit.session_service.edge_world import StillClock
from tests.unit.session_service.fakes import TOPIC, a_budget

ALICE = Member("alice", "chat", 1)


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def on_presence(self, topic: str, member: Member, *, joined: bool) -> None:
        self.told.append((member.client_id, joined))

    def on_disconnect(self, order: DisconnectOrder) -> int:
        return 2


async def test_just_after_the_start_who_comes_with_its_edge_never_went() -> None:
    clock, listener = StillClock(), Listener()
    cluster = LocalCluster(Hub(a_budget()), clock, quiet_s=10.0)
    await cluster.start(listener)
    cluster.entered(TOPIC, ALICE, resumed=True)
    assert listener.told == []
    cluster.entered(TOPIC, ALICE)
    clock.monotonic_s += 10.0
    cluster.entered(TOPIC, ALICE, resumed=True)
    cluster.left(TOPIC, ALICE)
    assert listener.told == [("alice", True), ("alice", True), ("alice", False)]


async def test_once_closed_it_says_nothing() -> None:
    listener = Listener()
    cluster = LocalCluster(Hub(a_budget()), StillClock(), quiet_s=0.0)
    order = DisconnectOrder("tests", "w1", "alice", "why", reconnect=True)
    await cluster.start(listener)
    assert await cluster.disconnect(order) == 2
    await cluster.close()
    cluster.entered(TOPIC, ALICE)
    cluster.left(TOPIC, ALICE)
    assert listener.told == []
    assert await cluster.disconnect(order) == 0
