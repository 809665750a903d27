"""This run beside an older one, from its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tidewire_client.load.result import FORMAT, Compared, Result

MAX_FILE_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OldRun:
    """What is compared with.

    Attributes:
        scenario: Its name.
        options: Of the scenario.
        figures: Values by name.
    """

    scenario: str
    options: Mapping[str, Any]
    figures: Mapping[str, float]

    @classmethod
    def read(cls, file: Path, scenario: str) -> OldRun:
        """Read the file of a run.

        Args:
            file: That `--json` has written.
            scenario: Which it must be of.

        Raises:
            ValueError: It cannot be read, or is of something else; the text says what it is.
        """
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"{file} is too large to be the result of a run")
            found = json.loads(file.read_bytes())
        except OSError as exc:
            raise ValueError(f"{file} cannot be read: {exc.strerror}") from None
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise ValueError(f"{file} is no JSON") from None
        return cls._of(found, file, scenario)

    @classmethod
    def _of(cls, found: Any, file: Path, scenario: str) -> OldRun:
        if not isinstance(found, dict) or "tidewire_load" not in found:
            raise ValueError(f"{file} is not the result of a run, as --json writes it")
        if found["tidewire_load"] != FORMAT:
            raise ValueError(f"{file} is of another version: its format is {found['tidewire_load']!r}, not {FORMAT}")
        if found.get("scenario") != scenario:
            raise ValueError(f"{file} is of the scenario {found.get('scenario')}, not {scenario}")
        figures, options = found.get("figures"), found.get("options")
        if not isinstance(figures, dict) or not isinstance(options, dict):
            raise ValueError(f"{file} lacks figures or options")
        values = {name: float(value) for name, value in figures.items() if _is_number(value)}
        return cls(scenario, options, values)


def compare(old: OldRun, now: Result) -> list[Compared]:
    """Return the figures that both have, in order."""
    found = []
    for figure, value in now.measured():
        before = old.figures.get(figure.name)
        if before is not None:
            found.append(Compared(figure, before, value, value / before if before else None))
    return found


def differences(old: OldRun, now: Mapping[str, Any]) -> list[str]:
    """Return the options in which two runs differ, in words: their figures cannot be held against each other as they are."""
    names = [*now, *(name for name in old.options if name not in now)]
    return [
        f"{name}: {old.options.get(name)} then, {now.get(name)} now"
        for name in names
        if old.options.get(name) != now.get(name)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
