"""What the supervisor shows: the services' log lines and its own, for people (console) or for programs (JSON lines)."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol, TextIO

Level = Literal["info", "warning", "error"]

OWN_NAME: Final = "manage"
_WIDTH: Final = 7
_RESET: Final = "\x1b[0m"
_COLOURS: Final = {"auth": "\x1b[35m", "session": "\x1b[36m", "edge": "\x1b[34m", OWN_NAME: "\x1b[1m"}
_LEVEL_COLOURS: Final[Mapping[Level, str]] = {"info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}


class Output(Protocol):
    """Where lines go."""

    def service_line(self, service: str, line: str) -> None:
        """Show a line that a service wrote."""

    def say(self, level: Level, text: str, **facts: object) -> None:
        """Show a line of the supervisor's own; `facts` are for programs."""

    def ready(self, addresses: Mapping[str, str], took_s: float) -> None:
        """Show that everything is ready, once a run."""


class ConsoleOutput:
    """For people: each line begins with who wrote it, in colour on a terminal.

    Args:
        stream: Where to.
        colours: Whether with colours.
    """

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self._stream = stream
        self._colours = colours

    def service_line(self, service: str, line: str) -> None:
        """Show a line that a service wrote."""
        self._write(self._prefix(service) + line)

    def say(self, level: Level, text: str, **facts: object) -> None:
        """Show a line of the supervisor's own."""
        for line in text.splitlines():
            self._write(self._prefix(OWN_NAME) + self._painted(line, _LEVEL_COLOURS[level]))

    def ready(self, addresses: Mapping[str, str], took_s: float) -> None:
        """Show that everything is ready, once a run."""
        places = "  ".join(f"{name} {address}" for name, address in addresses.items())
        # Without colour: programs that run this command on a terminal look for a line that begins so.
        self._write(f"ready after {took_s:.1f} s: {places}")

    def _prefix(self, name: str) -> str:
        return self._painted(f"{name:<{_WIDTH}} | ", _COLOURS[name])

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours and colour else text

    def _write(self, line: str) -> None:
        _write(self._stream, line)


class JsonOutput:
    """For programs: one JSON object a line; the services' own JSON lines pass through as they are.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def service_line(self, service: str, line: str) -> None:
        """Show a line that a service wrote."""
        if _is_json_object(line):
            _write(self._stream, line)
        else:
            self._event("error", line, service=service, logger="output")

    def say(self, level: Level, text: str, **facts: object) -> None:
        """Show a line of the supervisor's own."""
        self._event(level, text, service="supervisor", **facts)

    def ready(self, addresses: Mapping[str, str], took_s: float) -> None:
        """Show that everything is ready, once a run."""
        self._event("info", "ready", service="supervisor", addresses=dict(addresses), took_s=round(took_s, 3))

    def _event(self, level: str, event: str, **facts: object) -> None:
        timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"event": event, "level": level, "timestamp": timestamp, **facts}
        _write(self._stream, json.dumps(line, default=str))


def console() -> ConsoleOutput:
    """Return the output for people on stdout."""
    return ConsoleOutput(sys.stdout, colours=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except BrokenPipeError:
        # Nobody reads any more: end in order, as for Ctrl-C. What is still written goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        os.kill(os.getpid(), signal.SIGTERM)
