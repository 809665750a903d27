"""The verifier against an auth service that changes its mind, hangs and goes away, on a clock that the tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tidewire.auth.v1 import auth_pb2

from tests.support.waiting import eventually
from tests.unit.tidewire_client.auth_peer import BAD_DOMAIN, GOOD_KEY, WRONG_KEY, AuthPeer
from tests.unit.tidewire_client.peers import serving_auth
from tidewire_client.errors import CallerNotAllowed, InvalidRequest, ServiceTimeout, ServiceUnavailable
from tidewire_client.flights import Flights
from tidewire_client.key_watch import KeyChanged
from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verifier import MAX_REPEATS, KeyVerifier

STALE_S = 5.0
GRACE_S = 60.0


class World:
    """A verifier, its auth service, and the time."""

    def __init__(self, peer: AuthPeer, target: str, deadline_s: float) -> None:
        self.peer = peer
        self.monotonic_s = 0.0
        self.now_s = 1_000.0
        self.changes: list[KeyChanged] = []
        self.resyncs = 0
        self.verifier = KeyVerifier(
            target,
            service_token="a-token",
            deadline_s=deadline_s,
            stale_after_s=STALE_S,
            outage_grace_s=GRACE_S,
            on_change=self.changes.append,
            on_resync=self.resynced,
            now=lambda: self.now_s,
            monotonic=lambda: self.monotonic_s,
        )

    def resynced(self, revision: int) -> None:
        self.resyncs += 1

    async def watching(self) -> None:
        """Return when the watch has said something at this moment."""

        async def fresh() -> bool:
            return self.verifier.fresh

        await eventually(fresh, what="the watch is fresh")

    async def auth_goes_away(self) -> None:
        """Return when the watch has noticed."""
        self.peer.away = True
        self.peer.end_watches()

        async def noticed() -> bool:
            return self.verifier._watch.broken

        await eventually(noticed, what="the watch is broken")


@asynccontextmanager
async def world(deadline_s: float = 5.0, *, watch: bool = True) -> AsyncIterator[World]:
    peer = AuthPeer()
    async with serving_auth(peer) as target:
        made = World(peer, target, deadline_s)
        try:
            if watch:
                await made.verifier.start()
                await made.watching()
            yield made
        finally:
            await made.verifier.close()


async def test_a_known_key_is_asked_for_once() -> None:
    async with world() as w:
        for _ in range(3):
            assert (await w.verifier.verify(GOOD_KEY, domain="d", workspace="w")).allowed
        assert w.peer.batches == [[GOOD_KEY]]
        assert (w.verifier.stats.hits, w.verifier.stats.misses, w.verifier.stats.calls) == (2, 1, 1)


async def test_another_place_is_another_question() -> None:
    async with world() as w:
        await w.verifier.verify(GOOD_KEY, workspace="a")
        await w.verifier.verify(GOOD_KEY, workspace="b")
        assert len(w.peer.batches) == 2


async def test_an_unknown_key_is_refused_and_asked_for_every_time() -> None:
    async with world() as w:
        for _ in range(2):
            assert (await w.verifier.verify(WRONG_KEY)).code is VerdictCode.NOT_FOUND
        assert len(w.peer.batches) == 2


@pytest.mark.parametrize("text", ["x" * 129, "schl\u00fcssel", "\udcff"])
async def test_what_cannot_be_a_key_is_not_worth_a_call(text: str) -> None:
    async with world() as w:
        assert (await w.verifier.verify(text)).code is VerdictCode.NOT_FOUND
        assert w.peer.batches == []


async def test_many_who_ask_for_the_same_key_share_one_call() -> None:
    async with world() as w:
        w.peer.gate.clear()
        askers = [asyncio.create_task(w.verifier.verify(GOOD_KEY)) for _ in range(50)]
        await w.peer.asked.wait()
        w.peer.gate.set()
        assert all(verdict.allowed for verdict in await asyncio.gather(*askers))
        assert w.peer.batches == [[GOOD_KEY]]


async def test_one_who_gives_up_does_not_take_the_others_along() -> None:
    async with world() as w:
        w.peer.gate.clear()
        first, second = (asyncio.create_task(w.verifier.verify(GOOD_KEY)) for _ in range(2))
        await w.peer.asked.wait()
        first.cancel()
        w.peer.gate.set()
        assert (await second).allowed


async def test_keys_that_come_while_a_call_is_under_way_share_the_next() -> None:
    async with world() as w:
        w.peer.gate.clear()
        first = asyncio.create_task(w.verifier.verify(GOOD_KEY))
        await w.peer.asked.wait()
        others = [asyncio.create_task(w.verifier.verify(f"{GOOD_KEY}-{n}")) for n in range(9)]
        await asyncio.sleep(0)
        w.peer.gate.set()
        await asyncio.gather(first, *others)
        assert [len(batch) for batch in w.peer.batches] == [1, 9]
        assert w.verifier.stats.batched == 10


async def test_one_bad_question_does_not_spoil_those_beside_it() -> None:
    async with world() as w:
        w.peer.gate.clear()
        first = asyncio.create_task(w.verifier.verify(GOOD_KEY))
        await w.peer.asked.wait()
        good = [asyncio.create_task(w.verifier.verify(f"{GOOD_KEY}-{n}")) for n in range(5)]
        bad = asyncio.create_task(w.verifier.verify(GOOD_KEY, domain=BAD_DOMAIN))
        await asyncio.sleep(0)
        w.peer.gate.set()
        assert all(verdict.allowed for verdict in await asyncio.gather(first, *good))
        with pytest.raises(InvalidRequest):
            await bad


async def test_an_answer_that_is_too_short_lets_nobody_in() -> None:
    async with world() as w:
        w.peer.drop_answers = True
        with pytest.raises(ServiceUnavailable, match="every question"):
            await w.verifier.verify(GOOD_KEY)


async def test_a_change_acts_at_once() -> None:
    async with world() as w:
        await w.verifier.verify(GOOD_KEY)
        w.peer.change(auth_pb2.VERDICT_CODE_REVOKED)

        async def told() -> bool:
            return bool(w.changes)

        await eventually(told)
        assert w.changes == [KeyChanged("k1", VerdictCode.REVOKED, 2)]
        assert (await w.verifier.verify(GOOD_KEY)).code is VerdictCode.REVOKED
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is None


async def test_an_answer_overtaken_by_a_change_is_asked_for_again() -> None:
    """The answer is made, the key is revoked, the change arrives, and only then the answer."""
    async with world() as w:
        w.peer.gate.clear()
        asker = asyncio.create_task(w.verifier.verify(GOOD_KEY))
        await w.peer.asked.wait()
        w.peer.change(auth_pb2.VERDICT_CODE_REVOKED)

        async def told() -> bool:
            return bool(w.changes)

        await eventually(told)
        w.peer.gate.set()
        assert (await asker).code is VerdictCode.REVOKED
        assert w.verifier.stats.fills_rejected == 1
        assert len(w.peer.batches) == 2


async def test_a_service_that_lags_behind_is_asked_again_until_it_has_the_change() -> None:
    async with world() as w:
        w.peer.tell_ahead()

        async def told() -> bool:
            return bool(w.changes)

        await eventually(told)
        asker = asyncio.create_task(w.verifier.check("k1", "join", "secret", "d", "w"))

        async def asked_again() -> bool:
            return len(w.peer.checks) >= 3

        await eventually(asked_again)
        assert not asker.done()
        w.peer.revision += 1
        assert (await asker).revision == w.peer.revision


async def test_an_answer_from_before_a_known_change_is_never_given() -> None:
    """Neither for a key nor for a permission, however long the service lags behind."""
    async with world() as w:
        w.peer.tell_ahead()

        async def told() -> bool:
            return bool(w.changes)

        await eventually(told)
        for question in (w.verifier.check("k1", "join", "lobby", "d", "w"), w.verifier.verify(GOOD_KEY)):
            with pytest.raises(ServiceUnavailable):
                await question
        assert len(w.peer.checks) == len(w.peer.batches) == 1 + MAX_REPEATS
        assert w.verifier.stats.refused_unavailable == 2
        w.peer.revision += 1
        assert (await w.verifier.verify(GOOD_KEY)).allowed


async def test_permissions_are_asked_for_once() -> None:
    async with world() as w:
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is None
        assert (await w.verifier.check("k1", "join", "lobby", "d", "w")).allowed
        assert (await w.verifier.check("k1", "join", "lobby", "d", "w")).allowed
        cached = w.verifier.check_cached("k1", "join", "lobby", "d", "w")
        assert cached is not None
        assert cached.allowed
        assert not (await w.verifier.check("k1", "join", "secret", "d", "w")).allowed
        assert w.peer.checks == ["join:lobby", "join:secret"]


async def test_a_verdict_ends_with_the_key() -> None:
    async with world() as w:
        await w.verifier.check("k1", "join", "lobby", "d", "w")
        w.now_s += 1_000_000
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is not None


async def test_when_the_watch_is_silent_every_use_is_verified_again() -> None:
    async with world() as w:
        await w.verifier.verify(GOOD_KEY)
        w.monotonic_s += STALE_S
        assert not w.verifier.fresh
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is None
        assert len(w.peer.batches) == 3


async def test_without_a_watch_nothing_is_taken_from_the_cache() -> None:
    async with world(watch=False) as w:
        for _ in range(2):
            assert (await w.verifier.verify(GOOD_KEY)).allowed
        assert len(w.peer.batches) == 2


async def test_while_auth_is_away_known_keys_go_on_for_the_grace_and_no_longer() -> None:
    async with world(deadline_s=1.0) as w:
        await w.verifier.verify(GOOD_KEY)
        await w.verifier.check("k1", "join", "lobby", "d", "w")
        await w.auth_goes_away()
        w.monotonic_s += STALE_S + GRACE_S - 0.1
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is not None
        assert w.verifier.stats.stale_uses == 1
        w.monotonic_s += 0.2
        with pytest.raises(ServiceUnavailable):
            await w.verifier.verify(GOOD_KEY)
        assert w.verifier.check_cached("k1", "join", "lobby", "d", "w") is None


async def test_while_auth_is_away_unknown_keys_are_never_let_in() -> None:
    async with world(deadline_s=1.0) as w:
        await w.auth_goes_away()
        with pytest.raises((ServiceUnavailable, ServiceTimeout)):
            await w.verifier.verify(GOOD_KEY)
        assert w.verifier.stats.refused_unavailable == 1


async def test_while_auth_is_away_what_was_refused_stays_refused() -> None:
    async with world(deadline_s=1.0) as w:
        await w.verifier.check("k1", "join", "secret", "d", "w")
        await w.auth_goes_away()
        assert not (await w.verifier.check("k1", "join", "secret", "d", "w")).allowed
        w.monotonic_s += STALE_S
        with pytest.raises((ServiceUnavailable, ServiceTimeout)):
            await w.verifier.check("k1", "join", "secret", "d", "w")


async def test_a_hung_auth_service_is_a_timeout_for_unknown_keys_only() -> None:
    async with world(deadline_s=1.0) as w:
        await w.verifier.verify(GOOD_KEY)
        w.peer.gate.clear()
        w.monotonic_s += STALE_S
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        with pytest.raises(ServiceTimeout):
            await w.verifier.verify(WRONG_KEY)
        w.peer.gate.set()


async def test_a_resync_forgets_everything() -> None:
    async with world() as w:
        await w.verifier.verify(GOOD_KEY)
        w.peer.tell(auth_pb2.WatchKeysResponse(resync_required=auth_pb2.ResyncRequired(reason="gone")))
        w.peer.end_watches()

        async def resynced() -> bool:
            return w.resyncs == 2

        await eventually(resynced)
        await w.verifier.verify(GOOD_KEY)
        assert len(w.peer.batches) == 2


async def test_an_answer_from_before_changes_that_were_missed_is_asked_for_again() -> None:
    async with world() as w:
        w.peer.gate.clear()
        asking = asyncio.create_task(w.verifier.verify(GOOD_KEY))
        await w.peer.asked.wait()
        w.peer.revision += 5
        w.peer.code = auth_pb2.VERDICT_CODE_REVOKED
        w.peer.tell(auth_pb2.WatchKeysResponse(resync_required=auth_pb2.ResyncRequired()))
        w.peer.end_watches()

        async def resynced() -> bool:
            return w.resyncs == 2

        await eventually(resynced)
        w.peer.gate.set()
        assert (await asking).code is VerdictCode.REVOKED
        assert w.verifier.stats.fills_rejected == 1


async def test_the_watch_goes_on_where_it_was() -> None:
    async with world() as w:
        w.peer.change(auth_pb2.VERDICT_CODE_DISABLED)
        w.peer.end_watches()

        async def again() -> bool:
            return len(w.peer.watches) == 2 and not w.verifier._watch.broken

        await eventually(again)
        assert w.peer.watches == [0, 2]
        assert w.changes == [KeyChanged("k1", VerdictCode.DISABLED, 2)]


async def test_closing_ends_those_who_wait() -> None:
    async with world() as w:
        w.peer.gate.clear()
        asker = asyncio.create_task(w.verifier.verify(GOOD_KEY))
        await w.peer.asked.wait()
        await w.verifier.close()
        with pytest.raises(asyncio.CancelledError):
            await asker
        w.peer.gate.set()


async def asked_in_turn(verifier: KeyVerifier, *peers: AuthPeer) -> None:
    """Return when the verifier is connected with all of them."""

    async def all_of_them() -> bool:
        await verifier.verify(f"{GOOD_KEY}-{sum(len(peer.batches) for peer in peers)}-first")
        return all(peer.batches for peer in peers)

    await eventually(all_of_them, what="all are asked in turn")


async def test_an_auth_service_that_hangs_is_not_the_only_one_that_is_asked() -> None:
    hung, working = AuthPeer(), AuthPeer()
    async with serving_auth(hung) as first, serving_auth(working) as second:
        verifier = KeyVerifier(f"ipv4:{first},{second}", service_token="t", deadline_s=2.0)
        await asked_in_turn(verifier, hung, working)
        hung.gate.clear()
        before = len(hung.batches) + len(hung.checks)
        for number in range(2):
            assert (await verifier.verify(f"{GOOD_KEY}-{number}")).allowed
            assert (await verifier.check("k1", "publish", f"room-{number}")).allowed
        await verifier.close()
    assert len(hung.batches) + len(hung.checks) > before, "it was not asked"


async def test_an_auth_service_that_dies_is_not_missed() -> None:
    dying, living = AuthPeer(), AuthPeer()
    async with serving_auth(living) as second:
        async with serving_auth(dying) as first:
            verifier = KeyVerifier(f"ipv4:{first},{second}", service_token="t", deadline_s=5.0)
            await asked_in_turn(verifier, dying, living)
        for number in range(6):
            assert (await verifier.verify(f"{GOOD_KEY}-{number}")).allowed
        await verifier.close()


async def test_what_is_asked_is_sent() -> None:
    asked = {"domain": "d", "workspace": "w", "action": "join", "channel": "lobby", "client_address": "192.0.2.1"}
    async with world() as w:
        await w.verifier.verify(GOOD_KEY, **asked)
        await w.verifier.introspect(GOOD_KEY, **asked)
        assert w.peer.asked_for == [auth_pb2.VerifyKeyRequest(api_key=GOOD_KEY, **asked)]
        assert w.peer.introspected == [auth_pb2.IntrospectKeyRequest(api_key=GOOD_KEY, **asked)]


async def test_another_action_or_channel_is_another_question_and_another_address_is_not() -> None:
    async with world() as w:
        for channel in ("lobby", "lobby", "other"):
            await w.verifier.verify(GOOD_KEY, action="join", channel=channel)
        await w.verifier.verify(GOOD_KEY, action="publish", channel="lobby")
        assert len(w.peer.batches) == 3
        await w.verifier.verify(GOOD_KEY, action="publish", channel="lobby", client_address="192.0.2.1")
        assert len(w.peer.batches) == 3


async def test_askers_from_two_addresses_do_not_share_a_call() -> None:
    """Each address is to have its own failed attempts."""
    async with world() as w:
        w.peer.gate.clear()
        addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
        askers = [asyncio.create_task(w.verifier.verify(WRONG_KEY, client_address=each)) for each in addresses]
        await w.peer.asked.wait()
        w.peer.gate.set()
        await asyncio.gather(*askers)
        assert sorted(one.client_address for one in w.peer.asked_for) == ["192.0.2.1", "192.0.2.2"]


async def test_each_use_is_charged_where_uses_are_counted() -> None:
    async with world() as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 2
        verdicts = [await w.verifier.verify(GOOD_KEY) for _ in range(3)]
        assert [verdict.remaining_uses for verdict in verdicts] == [1, 0, None]
        assert verdicts[2].code is VerdictCode.USAGE_EXCEEDED
        assert w.verifier.stats.hits == 0


async def test_askers_at_the_same_time_are_charged_one_by_one() -> None:
    """Ten ask while the first answer is on its way: each must have a use of its own, and no use is charged twice."""
    async with world() as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 7
        w.peer.gate.clear()
        askers = [asyncio.create_task(w.verifier.verify(GOOD_KEY)) for _ in range(10)]
        await w.peer.asked.wait()
        w.peer.gate.set()
        verdicts = await asyncio.gather(*askers)
        assert sorted(verdict.remaining_uses for verdict in verdicts if verdict.allowed) == list(range(7))
        assert sum(verdict.code is VerdictCode.USAGE_EXCEEDED for verdict in verdicts) == 3
        assert len(w.peer.asked_for) == 10


async def test_the_use_of_one_who_gave_up_is_taken_by_another() -> None:
    async with world() as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 1
        w.peer.gate.clear()
        first, second = (asyncio.create_task(w.verifier.verify(GOOD_KEY)) for _ in range(2))
        await w.peer.asked.wait()
        first.cancel()
        w.peer.gate.set()
        assert (await second).allowed
        assert len(w.peer.asked_for) == 1


async def test_a_key_whose_uses_are_counted_is_not_let_in_while_auth_is_away() -> None:
    async with world(deadline_s=1.0) as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 5
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        await w.auth_goes_away()
        with pytest.raises(ServiceUnavailable):
            await w.verifier.verify(GOOD_KEY)


@pytest.mark.parametrize("code", ["RATE_LIMITED", "USAGE_EXCEEDED"])
async def test_a_refusal_of_the_moment_is_never_kept(code: str) -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VerdictCode.Value(f"VERDICT_CODE_{code}")
        for _ in range(2):
            assert (await w.verifier.verify(GOOD_KEY)).code is VerdictCode[code]
        assert len(w.peer.batches) == 2


async def test_introspection_is_asked_anew_each_time_and_charges_nothing() -> None:
    async with world() as w:
        w.peer.uses_left = 1
        for _ in range(2):
            assert (await w.verifier.introspect(GOOD_KEY)).allowed
        assert (await w.verifier.introspect("x" * 129)).code is VerdictCode.NOT_FOUND
        assert (len(w.peer.introspected), w.peer.batches, w.peer.uses_left) == (2, [], 1)


async def test_introspection_without_an_answer_is_an_error() -> None:
    async with world(deadline_s=1.0) as w:
        await w.verifier.verify(GOOD_KEY)
        await w.auth_goes_away()
        with pytest.raises((ServiceUnavailable, ServiceTimeout)):
            await w.verifier.introspect(GOOD_KEY)


async def test_a_credential_that_is_not_good_is_told_as_such() -> None:
    async with world() as w:
        await w.verifier.verify(GOOD_KEY)
        w.peer.refuses_caller = True
        assert (await w.verifier.verify(GOOD_KEY)).allowed
        for ask in (w.verifier.verify, w.verifier.introspect):
            with pytest.raises(CallerNotAllowed, match="who are you"):
                await ask(WRONG_KEY)


async def test_too_many_questions_at_once_are_refused() -> None:
    flights = Flights(1)
    answered = asyncio.Event()

    async def call() -> Verdict:
        await answered.wait()
        return Verdict(VerdictCode.VALID, "k1")

    first = asyncio.create_task(flights.ask("a", call))
    await asyncio.sleep(0)
    with pytest.raises(ServiceUnavailable, match="too many"):
        await flights.ask("b", call)
    answered.set()
    assert (await first).allowed
    assert (await flights.ask("b", call)).allowed
