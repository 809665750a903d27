"""Bounds for figures: `p99_ms>20` is one that a run breaks when its figure is above 20."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(>=|<=|==|!=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One bound; a figure for which it is true fails the run.

    Attributes:
        figure: Its name.
        sign: The comparison.
        bound: The number.
    """

    figure: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str, figures: Collection[str]) -> Threshold:
        """Read one.

        Args:
            text: E.g. `p99_ms>20`.
            figures: The names that there are.

        Raises:
            ValueError: It is none; the text says what is right.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no threshold: NAME>NUMBER is, with one of {' '.join(_OPERATORS)}")
        try:
            bound = float(found[3])
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise ValueError(f"{text!r}: {found[3]} is no number")
        if found[1] not in figures:
            raise ValueError(f"{text!r}: {found[1]} is no figure of this scenario; there are {' '.join(figures)}")
        return cls(found[1], found[2], bound)

    def broken_by(self, values: Mapping[str, float | None]) -> str | None:
        """Return why a run breaks it, in words; None: it does not. A figure that was not measured breaks it."""
        value = values.get(self.figure)
        if value is None:
            return f"{self}: {self.figure} was not measured"
        return f"{self}: it is {value:g}" if _OPERATORS[self.sign](value, self.bound) else None

    def __str__(self) -> str:
        return f"{self.figure}{self.sign}{self.bound:g}"


def broken(thresholds: Sequence[Threshold], values: Mapping[str, float | None]) -> list[str]:
    """Return the words of those that a run breaks."""
    return [words for each in thresholds if (words := each.broken_by(values)) is not None]
