"""Verdicts on the wire: what is given again at once is, byte by byte, what is made anew."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from tidewire.auth.v1 import auth_pb2

from auth_service.adapters.grpc_api.caller import SERVICE, Caller
from auth_service.adapters.grpc_api.verdict_messages import verdict_message
from auth_service.adapters.grpc_api.verification import AuthServicer
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.core.key_format import generate
from auth_service.core.keys import KeyLimits
from auth_service.core.quick_verdicts import DIGEST_KEY_BYTES, QuickVerdicts
from auth_service.core.throttle import Throttle
from auth_service.core.verification import Verdict, VerdictCode
from auth_service.core.verifier import Verifier
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, FakeClock, MemoryKeyStore, MemoryUses, a_record


class Everyone:
    """Lets everybody in."""

    async def admit(self, context: Any, group: Any) -> Caller:
        return SERVICE


class Seen:
    """The revision that was seen."""

    revision = 100

    def seen_revision(self) -> int:
        return self.revision


class Bench:
    """A servicer on a store in memory, with and without the table of verdicts."""

    def __init__(self) -> None:
        self.store = MemoryKeyStore()
        self.cached = CachedKeyStore(self.store, 10)
        self.seen = Seen()
        self.quick = self._servicer(QuickVerdicts(self.cached.recall, size=10, digest_key=b"k" * DIGEST_KEY_BYTES))
        self.slow = self._servicer(None)

    def _servicer(self, quick: QuickVerdicts | None) -> AuthServicer:
        verifier = Verifier(
            self.cached,
            MemoryUses(),
            Throttle(per_minute=0, per_minute_of_address=0, size=10),
            PEPPERS,
            FakeClock(),
            ttl_ms=1500,
            seen_revision=self.seen.seen_revision,
            named_keys={},
            quick=quick,
        )
        return AuthServicer(Everyone(), verifier, self.seen)  # type: ignore[arg-type]

    async def key(self, **fields: Any) -> str:
        key = generate("live", secrets.randbelow)
        await self.store.create(a_record(key.key_id, secret_hash=PEPPERS.hash(key.secret), **fields))
        return key.text

    async def both(self, texts: Sequence[str]) -> tuple[auth_pb2.VerifyKeysResponse, auth_pb2.VerifyKeysResponse]:
        request = auth_pb2.VerifyKeysRequest(requests=[auth_pb2.VerifyKeyRequest(api_key=text) for text in texts])
        context: Any = None
        return await self.quick.VerifyKeys(request, context), await self.slow.VerifyKeys(request, context)


async def test_a_batch_of_quick_and_slow_verdicts_keeps_its_order() -> None:
    bench = Bench()
    good = await bench.key(limits=KeyLimits(frames_per_second=3), expire_ms=NOW_MS + 10**9)
    bounded, other = await bench.key(max_uses=100), await bench.key()
    texts = [good, "no key", bounded, other, good]
    for _ in range(3):
        quick, slow = await bench.both(texts)
        assert quick == slow
        bench.seen.revision += 1
    assert [verdict.revision for verdict in quick.verdicts] == [102] * 5
    assert len({verdict.key_id for verdict in quick.verdicts}) == 4


async def test_one_key_is_told_as_in_a_batch() -> None:
    bench = Bench()
    good, context = await bench.key(), None
    for _ in range(3):
        answer = await bench.quick.VerifyKey(auth_pb2.VerifyKeyRequest(api_key=good), context)  # type: ignore[arg-type]
        assert answer.verdict == (await bench.both([good]))[1].verdicts[0]


async def test_a_key_newer_than_what_was_seen_tells_its_own_revision() -> None:
    bench = Bench()
    bench.seen.revision = 0
    good = await bench.key()
    for _ in range(2):
        quick, slow = await bench.both([good])
        assert quick == slow
        assert quick.verdicts[0].revision == 1


@pytest.mark.parametrize(
    ("verdict", "fields"),
    [
        (Verdict(VerdictCode.RATE_LIMITED, 5, 0, "k1", retry_after_ms=1234), {"retry_after"}),
        (Verdict(VerdictCode.VALID, 5, 0, "k1", remaining_uses=0), {"remaining_uses"}),
        (Verdict(VerdictCode.VALID, 5, 2500, "k1", expire_ms=NOW_MS), {"expire_time"}),
        (Verdict(VerdictCode.USAGE_EXCEEDED, 5, 0, "k1"), set()),
    ],
)
def test_what_is_not_known_is_not_set(verdict: Verdict, fields: set[str]) -> None:
    message = verdict_message(verdict)
    optional = ("retry_after", "remaining_uses", "expire_time")
    assert {name for name in optional if message.HasField(name)} == fields
    assert message.cache_ttl.ToMilliseconds() == verdict.cache_ttl_ms
    assert message.retry_after.ToMilliseconds() == verdict.retry_after_ms
