"""Where a command writes: results on stdout, all else on stderr; colours only for a terminal.

What came from others is made harmless first: it must not move a terminal's cursor or pass for a line of its own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import IO, Any, Final, NoReturn

from rich.console import Console
from rich.text import Text

from tidewire_client.cli import options
from tidewire_client.cli.option_sets import option_set

# Control characters of ASCII and of Latin-1, line and paragraph separators, those that turn the direction of text, and
# halves of characters.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_JSON: Final = re.compile("[\x7f-\x9f]")


class _Console(Console):
    """Leaves it to the command what happens when nobody reads any more."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


class Output:
    """The output of one command.

    Args:
        as_json: For programs: results as JSON on stdout, errors as JSON on stderr, and nothing else.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Write one line of a result, of texts and of (text, style)."""
        self._out.print(Text.assemble(*parts), soft_wrap=True)

    def note(self, text: str) -> None:
        """Write a line for people beside the result; not in JSON."""
        if not self.as_json:
            self._err.print(Text(text, "dim"), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Write a line that people should not miss; not in JSON."""
        if not self.as_json:
            self._err.print(Text(text, "yellow"), soft_wrap=True)

    def error(self, message: str, hint: str, record: dict[str, Any]) -> None:
        """Write why the command failed."""
        if self.as_json:
            _write(sys.stderr, json.dumps(record, ensure_ascii=False))
            return
        self._err.print(Text.assemble(("tidewire: ", "bold red"), printable(message)), soft_wrap=True)
        if hint:
            self._err.print(Text(printable(hint)), soft_wrap=True)

    def record(self, record: object) -> None:
        """Write a result as one line of JSON."""
        _write(sys.stdout, json.dumps(record, ensure_ascii=False))

    def json_text(self, text: str) -> None:
        """Write JSON text as it came, on one line: line breaks in it can only be white space between its parts."""
        _write(sys.stdout, text.replace("\n", " ").replace("\r", " "))

    def fields(self, fields: Sequence[tuple[str, str]]) -> None:
        """Write names and values, one a line."""
        width = max(len(name) for name, _ in fields)
        for name, value in fields:
            self.line((name.ljust(width), "dim"), "  ", printable(value))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table, each row one line; nothing in it is ever cut or folded."""
        lines = [list(columns), *([printable(cell) for cell in row] for row in rows)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for number, line in enumerate(lines):
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            self.line((text, "dim" if number == 0 else ""))


def output_of(as_json: options.Json = False) -> Output:
    """Return the output that the options ask for."""
    return Output(as_json=as_json)


# Over a command: its first parameter is where it writes.
prints: Final = option_set(output_of)


def printable(text: str) -> str:
    """Return a text in which nothing controls a terminal: what would is shown as an escape."""
    return _UNSAFE.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(character)
    return names.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _console(stream: IO[str]) -> Console:
    return _Console(file=stream, highlight=False, markup=False, emoji=False)


def _write(stream: IO[str], text: str) -> None:
    # JSON escapes the controls of ASCII itself; those of Latin-1 would pass.
    stream.write(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
    stream.flush()
