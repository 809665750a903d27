import json

import pytest

from tidewire_client.cli.output import Output, printable

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello \u00fc \U0001f600", "hello \u00fc \U0001f600"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_nothing_that_came_from_others_controls_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_are_plain_and_whole_without_a_terminal(capsys: Captured) -> None:
    Output(as_json=False).line(("x" * 300, "bold red"), " [bold]not markup[/bold] :smile:")
    assert capsys.readouterr().out == "x" * 300 + " [bold]not markup[/bold] :smile:\n"


def test_notes_and_warnings_go_to_stderr_and_not_to_programs(capsys: Captured) -> None:
    for as_json in (False, True):
        output = Output(as_json=as_json)
        output.note("a note")
        output.warn("a warning")
    assert capsys.readouterr() == ("", "a note\na warning\n")


def test_errors_for_people(capsys: Captured) -> None:
    output = Output(as_json=False)
    output.error("it\nfailed", "do this", {})
    output.error("it failed", "", {})
    assert capsys.readouterr() == ("", "tidewire: it\\nfailed\ndo this\ntidewire: it failed\n")


def test_errors_for_programs(capsys: Captured) -> None:
    Output(as_json=True).error("it failed", "do this", {"error": {"message": "\u00fc"}})
    assert capsys.readouterr() == ("", '{"error": {"message": "\u00fc"}}\n')


def test_a_record_is_one_line_without_controls(capsys: Captured) -> None:
    Output(as_json=True).record({"a": "x\n\x1b\x9b"})
    out = capsys.readouterr().out
    assert out == '{"a": "x\\n\\u001b\\u009b"}\n'
    assert json.loads(out) == {"a": "x\n\x1b\x9b"}


def test_json_text_stays_as_it_came_but_on_one_line(capsys: Captured) -> None:
    text = '{\n  "n": 1.0e2,\r\n  "s": "a\\nb\x9b"\n}'
    Output(as_json=True).json_text(text)
    out = capsys.readouterr().out
    assert out == '{   "n": 1.0e2,    "s": "a\\nb\\u009b" }\n'
    assert json.loads(out) == json.loads(text)


def test_fields_are_aligned(capsys: Captured) -> None:
    Output(as_json=False).fields([("id", "1"), ("owner", "a\nb")])
    assert capsys.readouterr().out == "id     1\nowner  a\\nb\n"


def test_a_table_is_never_cut(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Output(as_json=False).table(["ID", "NAME"], [["k" * 60, "a\nb"], ["k", ""]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ID" + " " * 60 + "NAME", "k" * 60 + "  a\\nb", "k"]


def test_a_terminal_gets_colours_and_the_same_lines(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Output(as_json=False).table(["ID", "NAME"], [["k" * 60, "a"]])
    header, row = capsys.readouterr().out.splitlines()
    assert header == "\x1b[2mID" + " " * 60 + "NAME\x1b[0m"
    assert row == "k" * 60 + "  a"


def test_nobody_reading_is_left_to_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        encoding = "utf-8"

        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdout", Closed())
    output = Output(as_json=False)
    for write in (lambda: output.line("x"), lambda: output.record({}), lambda: output.json_text("{}")):
        with pytest.raises(BrokenPipeError):
            write()
