"""Sums over load processes, and how busy they were."""

from __future__ import annotations

from tidewire_client.load.histogram import Histogram
from tidewire_client.load.load_processes import LoadProcesses
from tidewire_client.load.plan import MAX_REASONS, Counters, Tick
from tidewire_client.load.timeline import Timeline


def tick(at_s: float, cpu_s: float, **counts: int) -> Tick:
    latency = Histogram()
    latency.record(1000)
    return Tick(at_s, cpu_s, 1_000_000, Counters(**counts), latency, Histogram())


def test_sums_and_points() -> None:
    timeline = Timeline(0.0)
    processes = LoadProcesses(2, timeline)
    processes.take(0, tick(0.5, 0.1, open=3, sent=10))
    processes.take(1, tick(0.6, 0.1, open=4, sent=1))
    processes.take(0, tick(1.5, 0.2, open=3, sent=15, delivered=7))
    assert (processes.totals().open, processes.totals().sent, processes.totals().delivered) == (7, 16, 7)
    assert [(point.sent, point.delivered, point.open) for point in timeline.points] == [(11, 0, 7), (5, 7, 7)]
    assert [point.latency.count for point in timeline.points] == [2, 1]
    assert timeline.points[1].load_memory_bytes == 2_000_000


def test_only_what_is_measured_counts_as_busy() -> None:
    processes = LoadProcesses(1, Timeline(0.0))
    processes.take(0, tick(1.0, 1.0))
    assert processes.busy_percent() == [None]
    processes.measure(on=True)
    processes.take(0, tick(2.0, 2.0))  # as busy as can be, before it began
    processes.take(0, tick(4.0, 2.5))
    assert processes.busy_percent() == [25.0]
    processes.measure(on=False)
    processes.take(0, tick(5.0, 3.5))
    assert processes.busy_percent() == [25.0]
    assert processes.records() == [{"cpu_percent": 25.0, "cpu_s": 3.5, "memory_bytes": 1_000_000}]


def test_reasons_are_summed_and_bounded() -> None:
    counters = Counters()
    for number in range(3 * MAX_REASONS):
        counters.because(f"reason {number}")
    counters.because("reason 0")
    assert len(counters.reasons) == MAX_REASONS + 1
    assert counters.reasons["other reasons"] == 2 * MAX_REASONS
    processes = LoadProcesses(2, Timeline(0.0))
    for number in range(2):
        processes.take(number, Tick(1.0, 0.0, 0, counters, Histogram(), Histogram()))
    assert processes.totals().reasons["reason 0"] == 4
