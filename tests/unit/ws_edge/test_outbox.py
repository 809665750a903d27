"""Outboxes: one write a tick, runs that are shared and joined once, and the bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.ws_edge.fakes import FakeSink, World
from ws_edge.core.outbox import Outbox, OutboxFlusher, joined
from ws_edge.core.stats import EdgeStats


class NotingSink(FakeSink):
    """Notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes, bound: int) -> int:
        self.writes.append(data)
        return super().write(data, bound)

    def close(self, last: bytes, code: int, reason: str) -> None:
        self.writes.append(last)
        super().close(last, code, reason)


class Desk:
    """A flusher, its ticks, and who was found slow."""

    def __init__(self) -> None:
        self.ticks: list[Callable[[], None]] = []
        self.slow: list[int] = []
        self.stats = EdgeStats()
        self.flusher = OutboxFlusher(self.ticks.append, self.slow.append, self.stats)

    def outbox(self, sink: FakeSink, *, number: int = 1, bound: int = 100) -> Outbox:
        return Outbox(number, sink, bound, self.flusher)

    def tick(self) -> None:
        self.ticks.pop()()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_tick_is_one_write_and_the_last_frame_ends_it(desk: Desk) -> None:
    sink = NotingSink()
    outbox = desk.outbox(sink)
    for part in (b"a", b"b", b"c"):
        outbox.put(part)
    assert len(desk.ticks) == 1
    desk.tick()
    assert sink.writes == [b"abc"]
    outbox.flush()
    outbox.put(b"d")
    outbox.close(b"e", 1000, "")
    outbox.close(b"f", 1000, "")
    outbox.put(b"g")
    outbox.put_replay([b"h"])
    desk.tick()
    assert sink.writes == [b"abc", b"de"]


def test_a_closed_outbox_writes_nothing(desk: Desk) -> None:
    sink = FakeSink()
    outbox = desk.outbox(sink)
    outbox.put(b"x")
    outbox.abandon()
    outbox.flush()
    desk.tick()
    assert sink.written == b""


def test_what_is_added_to_a_run_reaches_all_who_hold_it_and_is_joined_once(desk: Desk) -> None:
    sinks = [NotingSink(), NotingSink()]
    outboxes = [desk.outbox(sink) for sink in sinks]
    run = [b"1"]
    for outbox in outboxes:
        outbox.put_run(run)
    outboxes[1].put(b"own")
    run += [b"2", b"3"]
    desk.tick()
    assert [sink.writes for sink in sinks] == [[b"123"], [b"123own"]]
    assert sinks[0].writes[0] is run[0]


def test_an_outbox_that_closes_takes_its_part_of_a_run_and_leaves_the_rest_to_others(desk: Desk) -> None:
    leaver, stayer = NotingSink(), NotingSink()
    run = [b"1", b"2"]
    outboxes = [desk.outbox(sink) for sink in (leaver, stayer)]
    for outbox in outboxes:
        outbox.put_run(run)
    outboxes[0].close(b"bye", 1000, "")
    run.append(b"3")
    desk.tick()
    assert leaver.writes == [b"12bye"]
    assert stayer.writes == [b"123"]


def test_who_is_over_the_bound_is_found_slow_and_not_written_to(desk: Desk) -> None:
    sink = FakeSink()
    outbox = desk.outbox(sink, number=7, bound=10)
    sink.stuck = True
    outbox.put(b"x" * 50)  # larger than the bound, but nothing is unsent before it
    desk.tick()
    assert desk.slow == []
    outbox.put(b"y")
    desk.tick()
    assert desk.slow == [7]
    assert b"y" not in sink.written


def test_the_allowance_of_a_replay_lasts_until_it_is_taken(desk: Desk) -> None:
    sink = FakeSink()
    outbox = desk.outbox(sink, bound=10)
    sink.stuck = True
    outbox.put_replay([b"x" * 25, b"x" * 25])
    desk.tick()
    outbox.put(b"y" * 5)
    desk.tick()
    assert desk.slow == []
    sink.stuck, sink.unsent = False, 0
    outbox.put(b"y")
    desk.tick()
    sink.unsent = 8
    outbox.put(b"y" * 5)
    desk.tick()
    assert desk.slow == [1]


def test_the_allowance_of_replays_has_a_bound_of_its_own() -> None:
    desk, sink = Desk(), FakeSink()
    desk.flusher.replay_bound = 50
    outbox = desk.outbox(sink, bound=10)
    sink.stuck = True
    for _ in range(3):
        outbox.put_replay([b"x" * 20])
        desk.tick()
    assert (desk.slow, sink.unsent) == ([], 60)
    outbox.put_replay([b"x" * 20])
    desk.tick()
    assert (desk.slow, sink.unsent) == ([1], 60)


def test_frames_for_one_client_are_counted_and_runs_are_not(desk: Desk) -> None:
    sink = FakeSink()
    sink.stuck = True
    outbox = desk.outbox(sink)
    outbox.put(b"12")
    outbox.put_replay([b"345", b"6"])
    outbox.put_run([b"a run is counted once for all who get it"])
    outbox.close(b"bye", 1000, "")
    assert (desk.stats.frames_to_one, desk.stats.bytes_out) == (4, 9)
    assert outbox.unsent == len(sink.written)


def test_ticks_are_counted(desk: Desk) -> None:
    outbox = desk.outbox(FakeSink())
    for number in (0, 1):
        assert desk.flusher.tick == number
        outbox.put(b"x")
        desk.tick()


def test_a_run_of_one_is_not_copied() -> None:
    frame = bytes(range(10))
    assert joined([frame]) is frame


def test_a_connection_that_is_gone_is_not_too_slow() -> None:
    world = World()
    client = world.client()
    client.frames()
    world.gateway.lost(client.connection)
    world.gateway._flusher.on_slow(client.connection.number)
    assert world.gateway.stats.slow_consumers == 0
