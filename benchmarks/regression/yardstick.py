"""A fixed piece of work that stands for this machine's speed, and the cost of other work in relation to it.

A ratio outlives a change of machine, of its clock and of its load, because the yardstick is measured right before and right
after each piece of work. The median of many short measurements forgets those that something else got into.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

ROUNDS: Final = 41
_SLICE_NS: Final = 2_000_000
_TEXT: Final = b'{"type":"chat_message","id":"m-1","channel":"room","data":{"content":"hello"}}'


class _Sink:
    __slots__ = ("count", "parts")

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[bytes] = []

    def put(self, part: bytes) -> None:
        self.parts.append(part)
        self.count += len(part)


def yardstick() -> int:
    """Do what the hot functions are made of: calls, attributes, small lists and dictionaries, joined and split bytes."""
    sink, known = _Sink(), {}
    for number in range(100):
        head = b"%d:" % number
        sink.put(head + _TEXT)
        known[head] = sink.count
        if head in known and known[head] > 0:
            sink.parts.append(_TEXT.partition(b",")[2])
    return len(b"".join(sink.parts)) + len(known)


def costs(functions: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return what one call of each function costs, in yardsticks.

    Args:
        functions: By name.
        rounds: How often each is measured, all in turn.
    """
    calls = {name: _calls_of_a_slice(function) for name, function in functions.items()}
    yard_calls = _calls_of_a_slice(yardstick)
    ratios: dict[str, list[float]] = {name: [] for name in functions}
    gc_was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            before_ns = _each_ns(yardstick, yard_calls)
            for name, function in functions.items():
                each_ns = _each_ns(function, calls[name])
                after_ns = _each_ns(yardstick, yard_calls)
                ratios[name].append(2 * each_ns / (before_ns + after_ns))
                before_ns = after_ns
            gc.collect()
    finally:
        if gc_was_enabled:
            gc.enable()
    return {name: statistics.median(found) for name, found in ratios.items()}


def _calls_of_a_slice(function: Callable[[], object]) -> int:
    """Return how many calls take about a slice, after some that warm it up."""
    _each_ns(function, 20)
    return max(1, int(_SLICE_NS / max(_each_ns(function, 20), 1.0)))


def _each_ns(function: Callable[[], object], calls: int) -> float:
    """Return the CPU time of this thread for one call, in nanoseconds."""
    began_ns = time.thread_time_ns()
    for _ in range(calls):
        function()
    return (time.thread_time_ns() - began_ns) / calls
