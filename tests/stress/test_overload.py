"""More than the system can do: it says so, frame by frame, loses nothing that it confirmed, and is back at once afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.stress.caller import Caller, Refused
from tests.stress.process_watch import MIB, counted, metrics_url, resident_bytes, value_in
from tests.support.http_client import http_async
from tests.support.ledger import history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "valid-test-key"
FLOODERS = 6
FLOOD_S = 6.0
PAD = "x" * 400
# Each flooder keeps the system at its bounds, not this process at its own.
AT_ONCE = 1500
QUEUE = 500
COMMANDS = 3000
# Whether it is ready takes no longer to find out, on average.
LOOK_S = 3.0
RECOVERED_WITHIN_S = 10.0
# What the queues of a process may take, and its allocator keeps: far less than what is sent meanwhile.
GROWTH_BYTES = 96 * MIB
# Refusals of a moment: each says so, and that the message is not stored or is known by its id.
PASSING = {"unavailable", "timeout"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose queues are short, so that its capacity is soon exceeded, and which limits nobody's rate."""
    made = Gateway(
        tmp_path,
        session={"engine-max-pending": QUEUE, "retention-messages": 1_000_000, "metrics-port": 0},
        edge={"frames-per-second": 0, "bytes-per-second": 0, "max-pending": COMMANDS},
    )
    async with made:
        yield made


@dataclass
class Outcome:
    """What became of one flooder's messages."""

    channel: str
    confirmed: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    unsafe: int = 0
    hurried: int = 0
    sent: int = 0

    @property
    def answered(self) -> int:
        return len(self.confirmed) + self.refused.total()


async def flood(caller: Caller, outcome: Outcome, end_s: float) -> None:
    """Send as fast as it is taken, with many messages unanswered; return when each has its answer."""
    under_way: set[asyncio.Task[None]] = set()
    while time.monotonic() < end_s:
        while len(under_way) < AT_ONCE and caller.client.writable:
            outcome.sent += 1
            task = asyncio.create_task(one(caller, outcome, f"{outcome.channel}-{outcome.sent}"))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.sleep(0)
    await asyncio.gather(*under_way)


async def one(caller: Caller, outcome: Outcome, message_id: str) -> None:
    try:
        frame = await caller.publish(outcome.channel, PAD, message_id)
    except Refused as refused:
        outcome.refused[refused.data["error_type"]] += 1
        outcome.unsafe += not refused.safe_to_repeat
        outcome.hurried += not refused.data.get("retry_after_ms")
    else:
        outcome.confirmed[message_id] = frame.data["offset"]


class Watch:
    """Looks at an edge and a session service while they are flooded."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._first = {p.name: resident_bytes(p.pid) for p in self._watched}
        self.growth: Counter[str] = Counter()
        self.looks = 0
        self.silent_reasons = 0
        self.not_ready: Counter[str] = Counter()
        self.slowest_look_s = 0.0

    @property
    def _watched(self) -> list[ServiceProcess]:
        return [self._gateway.edge, self._gateway.session]

    async def run(self) -> None:
        """Look for ever."""
        while True:
            began_s = time.monotonic()
            answer = await http_async("GET", f"http://{self._gateway.edge.address}/ready")
            self.slowest_look_s = max(self.slowest_look_s, time.monotonic() - began_s)
            self.looks += 1
            if answer.status != 200:
                reason = answer.json().get("reason", "")
                self.not_ready[reason.split(" for ")[0]] += 1
                self.silent_reasons += not reason
            for process in self._watched:
                grown = resident_bytes(process.pid) - self._first[process.name]
                self.growth[process.name] = max(self.growth[process.name], grown)
            await asyncio.sleep(0.1)


async def test_a_flood_is_shed_in_words_and_leaves_nothing_behind(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = new_name("w")
    outcomes = [Outcome(new_name("flooded")) for _ in range(FLOODERS)]
    callers = [
        await Caller.open(gateway.edge.address, KEY, workspace, f"floods-{n}", channels=[outcome.channel])
        for n, outcome in enumerate(outcomes)
    ]
    quiet = new_name("quiet")
    bystander = await Caller.open(gateway.edge.address, KEY, workspace, "bystander", channels=[quiet])
    watch = Watch(gateway)
    watching = asyncio.create_task(watch.run())
    end_s = time.monotonic() + FLOOD_S
    flooding = [asyncio.create_task(flood(*both, end_s)) for both in zip(callers, outcomes, strict=True)]
    beside = Outcome(quiet)
    while time.monotonic() < end_s:
        beside.sent += 1
        await one(bystander, beside, f"{quiet}-{beside.sent}")
        await asyncio.sleep(0.05)
    over_s = time.monotonic()
    recovered_s = await recovered(gateway, workspace) - over_s
    await asyncio.gather(*flooding)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    text = await tell(gateway, outcomes, beside, watch, recovered_s, capsys)
    check(outcomes, beside, watch, recovered_s, text)
    for outcome in (*outcomes, beside):
        await check_kept(gateway, workspace, outcome)
    for caller in (*callers, bystander):
        assert caller.goodbye is None
        caller.drop()


async def recovered(gateway: Gateway, workspace: str) -> float:
    """Return when a newcomer got in, joined, and had a message confirmed; and the edge said that it is ready."""

    async def works() -> bool:
        try:
            newcomer = await Caller.open(gateway.edge.address, KEY, workspace, new_name("new"), channels=["after"])
        except Refused:
            return False
        try:
            await newcomer.publish("after", "works")
        except Refused:
            return False
        finally:
            newcomer.drop()
        ready = await http_async("GET", f"http://{gateway.edge.address}/ready")
        return ready.status == 200 and await counted(gateway.edge, "tidewire_edge_pending_commands") < QUEUE

    await eventually(works, 2 * RECOVERED_WITHIN_S, "it works as before")
    return time.monotonic()


async def tell(
    gateway: Gateway,
    outcomes: list[Outcome],
    beside: Outcome,
    watch: Watch,
    recovered_s: float,
    capsys: pytest.CaptureFixture[str],
) -> str:
    refused = sum((outcome.refused for outcome in outcomes), Counter())
    session = (await http_async("GET", metrics_url(gateway.session))).body.decode()
    text = (
        f"{sum(o.sent for o in outcomes) / FLOOD_S:.0f} messages a second, {sum(len(o.confirmed) for o in outcomes)} confirmed,"
        f" refused {dict(refused)}; beside it {len(beside.confirmed)} of {beside.sent} confirmed, refused"
        f" {dict(beside.refused)}; engine refused {value_in(session, 'tidewire_session_engine_refused_total'):.0f};"
        f" memory grew {[f'{name} {size / MIB:.0f} MiB' for name, size in watch.growth.items()]}; not ready in"
        f" {watch.not_ready.total()} of {watch.looks} looks {dict(watch.not_ready)}, slowest {watch.slowest_look_s:.2f} s;"
        f" works as before after {recovered_s:.1f} s"
    )
    with capsys.disabled():
        print(f"\n{text}")
    errors = 'error_type="unavailable"'
    counted_errors = await counted(gateway.edge, "tidewire_edge_errors_total", errors)
    assert counted_errors >= refused["unavailable"] + beside.refused["unavailable"], "each refusal is counted"
    return text


def check(outcomes: list[Outcome], beside: Outcome, watch: Watch, recovered_s: float, text: str) -> None:
    refused = sum((outcome.refused for outcome in outcomes), Counter())
    assert refused.total() > QUEUE, f"there was more than it could do: {text}"
    assert set(refused) | set(beside.refused) <= PASSING, text
    for outcome in (*outcomes, beside):
        assert outcome.sent == outcome.answered, f"each frame has its answer: {text}"
        assert outcome.unsafe == 0, "with an id, a message is always safe to repeat"
        assert outcome.hurried == 0, "each is told when to come again"
    # It goes on storing. To whom that falls is not promised: with no limit of a connection's rate, who comes first is taken.
    assert sum(len(outcome.confirmed) for outcome in outcomes) > QUEUE, text
    assert recovered_s < RECOVERED_WITHIN_S, text
    assert watch.looks > FLOOD_S / LOOK_S, f"it answered meanwhile: {text}"
    assert watch.silent_reasons == 0, text
    assert max(watch.growth.values()) < GROWTH_BYTES, text


async def check_kept(gateway: Gateway, workspace: str, outcome: Outcome) -> None:
    """What was confirmed lies where its confirmation said; nothing lies there twice."""
    kept = await history(f"ws://{gateway.edge.address}", new_name("reads"), KEY, workspace, outcome.channel)
    where = {message_id: place.offset for place, message_id in kept}
    assert len(where) == len(kept)
    assert {m: o for m, o in outcome.confirmed.items() if where.get(m) != o} == {}
