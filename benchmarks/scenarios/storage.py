"""Storage alone: each engine of the session service beside the limit of what it stands on, in groups of several sizes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size
from benchmarks.stores.base import Store

_GROUPS: Final = (1, 16, 64)
_RATE: Final = 500.0
_WARM_UP: Final = 0.2


def _figures(size: Size) -> Sequence[Figure]:
    return [
        *(
            figure
            for group in _GROUPS
            for figure in (
                Figure(f"per_cpu_s_{group}", f"groups of {group}", "messages / CPU s"),
                Figure(f"per_s_{group}", f"groups of {group}, by the clock", "messages / s"),
            )
        ),
        Figure("alone_p50_ms", f"{_RATE:g} a second, one by one: median until stored", "ms", more_is_better=False),
    ]


def _measure(store: Store, size: Size) -> Outcome:
    outcome = Outcome()
    for group in _GROUPS:
        store.append(group, size.seconds * _WARM_UP)
        done = store.append(group, size.seconds)
        outcome.figures[f"per_cpu_s_{group}"] = done.messages / max(done.cpu_s, 1e-2)
        outcome.figures[f"per_s_{group}"] = done.messages / done.wall_s
        outcome.details[f"group_{group}"] = {"messages": done.messages, "wall_s": done.wall_s, "cpu_s": done.cpu_s}
    taken_s = store.append_at_rate(_RATE, size.seconds)
    if taken_s:
        outcome.figures["alone_p50_ms"] = statistics.median(taken_s) * 1000
    return outcome


SCENARIOS: Final = (
    Scenario(
        name="storage-sqlite",
        title="the embedded engine, and a bare loop of the same inserts on the same disk; both flush every group",
        figures=_figures,
        peers=("tidewire-sqlite", "sqlite-bare-loop"),
        measure=_measure,
    ),
    Scenario(
        name="storage-redis",
        title="the engine on Redis, and redis-benchmark with the same script; both count the server's CPU in",
        figures=_figures,
        peers=("tidewire-redis", "redis-benchmark"),
        measure=_measure,
    ),
)
