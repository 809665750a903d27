"""Values with their units, in a few characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tidewire_client.load.figures import Figure
from tidewire_client.load.result import Compared, Result

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_SIZES: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def value_words(figure: Figure, value: float) -> str:
    """Return the value of a figure, e.g. `3.21 ms`, `1,204 /s`, `45.2 MB`."""
    if figure.unit == "bytes":
        return size_words(value)
    if figure.unit == "ms" and value >= 10_000:
        return f"{value / 1000:,.2f} s"
    text = number_words(value)
    if figure.unit in ("", "x"):
        return f"{text}x" if figure.unit else text
    return f"{text} {figure.unit}"


def number_words(value: float) -> str:
    """Return a number with three figures at least, whole ones as they are."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def size_words(value: float) -> str:
    """Return bytes, e.g. `13.2 kB`."""
    for unit, size in _SIZES:
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} bytes"


def ratio_words(compared: Compared) -> str:
    """Return how a figure has changed, e.g. `1.21x`; nothing over nothing is the same."""
    if compared.ratio is None:
        return "same" if compared.now == compared.before else "from 0"
    return f"{compared.ratio:.2f}x"


def judgement(compared: Compared) -> str:
    """Return `better`, `worse` or nothing."""
    return {True: "better", False: "worse", None: ""}[compared.better]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return values as a line of blocks, the highest as tall as there is; nothing where nothing is known.

    Args:
        values: In order; if there are more than `width`, the highest of each group is shown.
        width: Most characters.
    """
    if not values:
        return ""
    groups = min(width, len(values))
    edges = [len(values) * number // groups for number in range(groups + 1)]
    parts = [[v for v in values[edges[n] : edges[n + 1]] if v is not None] for n in range(groups)]
    peaks = [max(part) if part else None for part in parts]
    top = max((peak for peak in peaks if peak is not None), default=0.0)
    return "".join(" " if peak is None else _BLOCKS[_level(peak, top)] for peak in peaks)


def _level(value: float, top: float) -> int:
    return 0 if top <= 0 else max(0, math.ceil(value / top * len(_BLOCKS)) - 1)


def verdict(result: Result) -> tuple[bool, str]:
    """Return whether all is well, and a sentence that says so or what is not."""
    faulty = result.faulty
    if faulty:
        return False, (
            f"{len(faulty)} of {len(result.clients)} clients did not get each message once and in order: "
            f"{sum(c.account.missing for c in faulty):,} missing, "
            f"{sum(c.account.duplicated for c in faulty):,} twice, "
            f"{sum(c.account.out_of_order for c in faulty):,} out of order."
        )
    if result.wrong:
        return False, (
            f"Messages that were neither confirmed nor refused: {result.figures.get('unanswered') or 0:,.0f}; "
            f"that were confirmed twice: {result.confirmed_twice:,}."
        )
    failed = result.figures.get("failed")
    if failed:
        return False, f"{failed:,.0f} clients could not be connected."
    if result.broken:
        return False, f"{len(result.broken)} thresholds are broken."
    if not result.clients:
        return True, "Every client was connected."
    received = sum(c.account.received for c in result.clients)
    return True, f"Each of {len(result.clients):,} clients got each message once and in order: {received:,} in all."
