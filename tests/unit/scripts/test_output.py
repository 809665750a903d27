"""What the supervisor shows."""

from __future__ import annotations

import io
import json

from scripts.supervision.output import ConsoleOutput, JsonOutput

ADDRESSES = {"edge": "http://127.0.0.1:8000", "auth": "127.0.0.1:50051"}


def test_lines_for_people_begin_with_who_wrote_them() -> None:
    stream = io.StringIO()
    output = ConsoleOutput(stream, colours=False)
    output.service_line("edge", "draining")
    output.say("warning", "auth is gone\nfor good")
    output.ready(ADDRESSES, 1.234)
    assert stream.getvalue().splitlines() == [
        "edge    | draining",
        "manage  | auth is gone",
        "manage  | for good",
        "ready after 1.2 s: edge http://127.0.0.1:8000  auth 127.0.0.1:50051",
    ]


def test_colours_are_for_terminals() -> None:
    stream = io.StringIO()
    output = ConsoleOutput(stream, colours=True)
    output.service_line("session", "attached")
    assert stream.getvalue() == "\x1b[36msession | \x1b[0mattached\n"


def test_lines_for_programs_are_json_whatever_a_service_writes() -> None:
    stream = io.StringIO()
    output = JsonOutput(stream)
    output.service_line("edge", '{"event": "draining", "service": "edge"}')
    output.service_line("edge", "Traceback (most recent call last):")
    output.service_line("edge", "[1, 2]")
    output.say("error", "edge died", died="edge", exit_code=-9)
    output.ready(ADDRESSES, 1.2345)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0] == {"event": "draining", "service": "edge"}
    assert [(line["event"], line["service"], line["level"]) for line in lines[1:]] == [
        ("Traceback (most recent call last):", "edge", "error"),
        ("[1, 2]", "edge", "error"),
        ("edge died", "supervisor", "error"),
        ("ready", "supervisor", "info"),
    ]
    assert (lines[3]["died"], lines[3]["exit_code"]) == ("edge", -9)
    assert (lines[4]["addresses"], lines[4]["took_s"]) == (ADDRESSES, 1.234)
