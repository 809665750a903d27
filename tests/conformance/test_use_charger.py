"""What charges keys: bounds that hold to the last use, whoever charges at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from auth_service.core.charging import Charge
from auth_service.core.keys import KeyRecord, VerificationRate
from auth_service.core.ports import KeyStore, UseCharger
from auth_service.core.verification import VerdictCode
from tests.conformance.key_stores import MemoryBench, StoreBench
from tests.conformance.use_chargers import charger_on
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import a_record

pytestmark = pytest.mark.integration

VALID, LIMITED, EXCEEDED = VerdictCode.VALID, VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED
HOUR_MS = 3_600_000


@pytest.fixture
def charger(store: KeyStore) -> UseCharger:
    return charger_on(store)


def now_us() -> int:
    return time.time_ns() // 1000


async def codes(charger: UseCharger, *records: KeyRecord) -> list[VerdictCode]:
    return [charge.code for charge in await charger.charge(records, now_us())]


async def test_uses_are_counted_down_and_denials_are_not_counted(charger: UseCharger) -> None:
    record = a_record(max_uses=2)
    assert await charger.use_counts(["k1"]) == {}
    charges = [(await charger.charge([record], now_us()))[0] for _ in range(4)]
    left = [Charge(VALID, remaining_uses=1), Charge(VALID, remaining_uses=0)]
    assert charges == [*left, Charge(EXCEEDED), Charge(EXCEEDED)]
    assert await charger.use_counts(["k1", "k2"]) == {"k1": 2}
    assert await charger.use_counts([]) == {}


async def test_a_bound_that_is_raised_lets_in_again(charger: UseCharger) -> None:
    assert await codes(charger, *[a_record(max_uses=1)] * 2) == [VALID, EXCEEDED]
    assert await codes(charger, *[a_record(max_uses=2)] * 2) == [VALID, EXCEEDED]


async def test_a_rate_lets_a_burst_in_and_says_when_to_come_again(charger: UseCharger) -> None:
    record = a_record(verification_rate=VerificationRate(2, HOUR_MS))
    assert await charger.charge([record] * 2, now_us()) == [Charge(VALID), Charge(VALID)]
    (denied,) = await charger.charge([record], now_us())
    assert denied.code is LIMITED
    assert HOUR_MS // 2 - 60_000 < denied.retry_after_ms <= HOUR_MS // 2
    assert await charger.use_counts(["k1"]) == {}


async def test_a_cell_comes_back(charger: UseCharger) -> None:
    # Short, because the clock of a server cannot be set.
    record = a_record(verification_rate=VerificationRate(10, 1000))
    began_us = now_us()
    assert await codes(charger, *[record] * 10) == [VALID] * 10

    async def back() -> bool:
        return await codes(charger, record) == [VALID]

    await eventually(back)
    assert now_us() - began_us >= 90_000


async def test_what_is_kept_of_a_clock_that_was_ahead_is_waited_for_once(charger: UseCharger) -> None:
    """A rate made shorter leaves the same behind as a clock that was set back, which a test cannot do to a server's."""
    uses = {"max_uses": 10}
    assert await codes(charger, a_record(verification_rate=VerificationRate(1, HOUR_MS), **uses)) == [VALID]
    record = a_record(verification_rate=VerificationRate(2, 1000), **uses)
    assert await codes(charger, record) == [LIMITED]

    async def over() -> bool:
        return await codes(charger, record) == [VALID]

    await eventually(over, 5)


async def test_the_rate_comes_before_the_uses(charger: UseCharger) -> None:
    record = a_record(verification_rate=VerificationRate(1, HOUR_MS), max_uses=1)
    assert await codes(charger, record, record) == [VALID, LIMITED]
    assert await charger.use_counts(["k1"]) == {"k1": 1}
    assert await codes(charger, a_record(max_uses=1)) == [EXCEEDED]


async def test_a_look_tells_the_same_and_charges_nothing(charger: UseCharger) -> None:
    record = a_record(verification_rate=VerificationRate(2, HOUR_MS), max_uses=1)
    for _ in range(3):
        assert await charger.look(record, now_us()) == Charge(VALID, remaining_uses=0)
    assert await charger.charge([record], now_us()) == [Charge(VALID, remaining_uses=0)]
    assert await charger.look(record, now_us()) == Charge(EXCEEDED)
    assert (await charger.look(a_record(verification_rate=VerificationRate(1, HOUR_MS)), now_us())).code is LIMITED
    assert await charger.use_counts(["k1"]) == {"k1": 1}


async def test_several_keys_in_one_call_each_have_their_own(charger: UseCharger) -> None:
    one, other = a_record("one", max_uses=1), a_record("other", max_uses=3)
    charges = await charger.charge([one, other, one, other], now_us())
    assert [charge.code for charge in charges] == [VALID, VALID, EXCEEDED, VALID]
    assert [charge.remaining_uses for charge in charges] == [0, 2, None, 1]


async def test_a_use_that_was_counted_survives_a_time_with_a_rate_alone(charger: UseCharger) -> None:
    await charger.charge([a_record(max_uses=5)], now_us())
    await charger.charge([a_record(verification_rate=VerificationRate(1000, 1000))], now_us())
    await charger.charge([a_record(max_uses=5)], now_us())
    assert await charger.use_counts(["k1"]) == {"k1": 2}


@pytest.mark.parametrize("bounds", [{"max_uses": 50}, {"verification_rate": VerificationRate(50, HOUR_MS)}])
async def test_whoever_charges_at_once_the_bound_holds_exactly(
    store_bench: StoreBench, store: KeyStore, bounds: dict[str, object]
) -> None:
    chargers = [charger_on(store), charger_on(await store_bench.open())]
    if isinstance(store_bench, MemoryBench):
        chargers = chargers[:1]
    record = a_record(**bounds)
    found = await asyncio.gather(*[codes(chargers[turn % len(chargers)], record) for turn in range(200)])
    counts = Counter(code for (code,) in found)
    assert counts[VALID] == 50, counts
    assert sum(counts.values()) == 200


async def test_counts_outlive_who_charged(store_bench: StoreBench, store: KeyStore) -> None:
    first = charger_on(store)
    await first.charge([a_record(max_uses=2)], now_us())
    # What is in memory lives as long as who charged.
    again = first if isinstance(store_bench, MemoryBench) else charger_on(await store_bench.open())
    assert await codes(again, *[a_record(max_uses=2)] * 2) == [VALID, EXCEEDED]
