import io
import json

import pytest

from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.send import MAX_INPUT_BYTES, message_body


class Stdin:
    def __init__(self, raw: bytes) -> None:
        self.buffer = io.BytesIO(raw)


def stdin(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(raw))


def test_text_is_the_content() -> None:
    assert message_body('say "gr\u00fc\u00df"', None) == '{"content":"say \\"gr\u00fc\u00df\\""}'.encode()


def test_data_stays_as_it_was_given() -> None:
    assert message_body(None, ' { "content" : 1.0e2 } ') == b'{ "content" : 1.0e2 }'


def test_both_can_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b"two\nlines\n")
    assert json.loads(message_body("-", None)) == {"content": "two\nlines"}
    stdin(monkeypatch, b'{"content": "x"}\n')
    assert message_body(None, "-") == b'{"content": "x"}'


@pytest.mark.parametrize(
    ("text", "data", "words"),
    [
        (None, None, "either TEXT or --data"),
        ("a", "{}", "either TEXT or --data"),
        (None, "", "no JSON"),
        (None, "{", "no JSON"),
        (None, '{"n": NaN}', "no JSON: NaN"),
        (None, "[" * 100_000, "no JSON"),
        (None, "[]", "JSON object"),
        (None, '"text"', "JSON object"),
        ("\udcff", None, "not UTF-8"),
    ],
)
def test_what_cannot_be_sent(text: str | None, data: str | None, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        message_body(text, data)


@pytest.mark.parametrize(("raw", "words"), [(b"\xff", "not UTF-8"), (b"x" * (MAX_INPUT_BYTES + 1), "more than")])
def test_what_cannot_come_from_stdin(monkeypatch: pytest.MonkeyPatch, raw: bytes, words: str) -> None:
    stdin(monkeypatch, raw)
    with pytest.raises(UsageProblem, match=words):
        message_body("-", None)
