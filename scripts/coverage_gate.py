"""How much of the code the tests must reach: every branch of each service's core, nine tenths of the whole."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

CORE_PERCENT: Final = 100.0
WHOLE_PERCENT: Final = 90.0


class Demand(enum.Enum):
    """What the coverage must be."""

    NOTHING = "nothing"
    CORES = "cores"
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Verdict:
    """What the coverage is.

    Args:
        enough: Whether it is what was demanded.
        lines: To be shown.
    """

    enough: bool
    lines: list[str]


@dataclass(frozen=True)
class Share:
    """Lines and branches that can be reached, and those that were."""

    reachable: int = 0
    reached: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.reachable + other.reachable, self.reached + other.reached)

    @property
    def percent(self) -> float:
        """How much was reached; of nothing, all was."""
        return 100.0 * self.reached / self.reachable if self.reachable else 100.0


def judge(report: Mapping[str, Any], demand: Demand) -> Verdict:
    """Judge a report of `coverage json`.

    Args:
        report: Its content.
        demand: What is demanded; the rest is shown only.
    """
    shares = {PurePath(name): _share(file["summary"]) for name, file in report["files"].items()}
    cores = sorted({path.parts[0] for path in shares if "core" in path.parts[1:2]})
    judged = [
        (f"{name}/core", _sum(s for path, s in shares.items() if path.parts[:2] == (name, "core")), CORE_PERCENT)
        for name in cores
    ]
    demanded = {name for name, _, _ in judged} if demand is not Demand.NOTHING else set()
    judged.append(("the whole", _sum(shares.values()), WHOLE_PERCENT))
    if demand is Demand.EVERYTHING:
        demanded.add("the whole")
    enough = all(share.percent >= percent for name, share, percent in judged if name in demanded)
    return Verdict(enough, [_line(name, share, percent, name in demanded) for name, share, percent in judged])


def _line(name: str, share: Share, percent: float, demanded: bool) -> str:
    missing = share.reachable - share.reached
    left = f"{missing} lines and branches missing"
    verdict = "ok" if share.percent >= percent else "TOO LOW" if demanded else "low, not judged here"
    return f"coverage of {name}: {share.percent:.1f} %, {left} (at least {percent:g} %): {verdict}"


def _share(summary: Mapping[str, Any]) -> Share:
    return Share(
        summary["num_statements"] + summary.get("num_branches", 0),
        summary["covered_lines"] + summary.get("covered_branches", 0),
    )


def _sum(shares: Iterable[Share]) -> Share:
    return sum(shares, Share())
