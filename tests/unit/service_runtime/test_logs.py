"""Log lines: in both forms, from structlog and from the standard library, and without a key whatever is logged."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.logs import REDACTED, configure_logging, get_logger, redact
from service_runtime.settings import ServiceSettings, settings_config

SECRET = "CanarySecret0123456789abcdefghijklmnop"
KEY = f"tw_live_0123456789abcdef_{SECRET}"
SHOWN = f"tw_live_0123456789abcdef_{REDACTED}"


class LogSettings(ServiceSettings):
    """A service for tests."""

    model_config = settings_config("LOGS")


@dataclass
class Holder:
    """Something that shows what it holds."""

    text: str


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., io.StringIO]]:
    """Configures logging as asked, into a text; afterwards everything is as before."""
    root = logging.getLogger()
    level = root.level

    def configure(**settings: str) -> io.StringIO:
        text = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", text)
            configure_logging("demo", LogSettings(**settings))
        return text

    yield configure
    root.handlers.clear()
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines(logged: Callable[..., io.StringIO]) -> Callable[[], list[dict[str, Any]]]:
    """Return what was logged, as JSON objects."""
    text = logged(log_format="json", log_level="info")

    def read() -> list[dict[str, Any]]:
        assert SECRET not in text.getvalue()
        return [json.loads(line) for line in text.getvalue().splitlines()]

    return read


def test_a_line_has_service_level_logger_time_and_fields(lines: Any) -> None:
    get_logger("demo.part").info("something happened", count=3, name="x")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "something happened",
        "count": 3,
        "name": "x",
        "service": "demo",
        "level": "info",
        "logger": "demo.part",
    }


def test_lines_below_the_level_are_not_shown(lines: Any) -> None:
    get_logger("demo.level").debug("unseen")
    logging.getLogger("other.level").debug("unseen")
    get_logger("demo.level").warning("seen")
    assert [line["event"] for line in lines()] == ["seen"]


def test_the_standard_library_comes_in_the_same_form(lines: Any) -> None:
    logging.getLogger("grpc._server").warning("port %d of %s", 50051, "auth")
    (line,) = lines()
    assert (line["event"], line["service"], line["level"], line["logger"]) == (
        "port 50051 of auth",
        "demo",
        "warning",
        "grpc._server",
    )


def test_context_is_on_every_line(lines: Any) -> None:
    with structlog.contextvars.bound_contextvars(edge_id="e1", api_key=KEY):
        get_logger("demo.context").info("with context")
    (line,) = lines()
    assert (line["edge_id"], line["api_key"]) == ("e1", REDACTED)


def test_the_console_form_is_for_people_and_shows_no_key_either(logged: Callable[..., io.StringIO]) -> None:
    text = logged(log_format="console")
    get_logger("demo.console").info("something happened", found=f"key {KEY}")
    try:
        raise RuntimeError(KEY)
    except RuntimeError:
        get_logger("demo.console").exception("failed")
    assert "something happened" in text.getvalue()
    assert f"key {SHOWN}" in text.getvalue()
    assert f"RuntimeError: {SHOWN}" in text.getvalue()
    assert SECRET not in text.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"before {KEY} after",
        KEY.encode(),
        [KEY, (KEY,), {KEY}, frozenset({KEY})],
        {"nested": {"deeper": [KEY]}},
        {KEY: 1},
        {"api_key": SECRET, "X-Api-Key": SECRET, "Authorization": SECRET, "service_token": SECRET},
        {"headers": [("authorization", f"Bearer {SECRET}")]},
        ValueError(KEY),
        Holder(KEY),
        f"line\n{KEY}",
        repr(f"line\n{KEY}"),
    ],
)
def test_no_value_shows_a_key(lines: Any, value: object) -> None:
    get_logger("demo.values").info("logged", value=value)
    (line,) = lines()
    assert REDACTED in json.dumps(line)


@pytest.mark.parametrize("name", ["api_key", "token", "pepper", "password", "X-API-Key", "AUTHORIZATION", "secret"])
def test_fields_of_secrets_are_never_shown(lines: Any, name: str) -> None:
    get_logger("demo.fields").info("logged", **{name: SECRET})
    assert lines()[0][name] == REDACTED


def test_the_words_of_a_line_show_no_key(lines: Any) -> None:
    get_logger("demo.words").info(f"verified {KEY}")
    logging.getLogger("library").error("call with %s failed", f"Bearer {SECRET}")
    assert [line["event"] for line in lines()] == [f"verified {SHOWN}", f"call with Bearer {REDACTED} failed"]


def test_exceptions_show_no_key_and_keep_their_traceback(lines: Any) -> None:
    def fail() -> None:
        try:
            raise KeyError(KEY)
        except KeyError as error:
            raise RuntimeError(f"call with Bearer {SECRET}") from error

    try:
        fail()
    except RuntimeError:
        get_logger("demo.exceptions").exception("failed")
        logging.getLogger("library").exception("failed too")
    ours, theirs = lines()
    for line in (ours, theirs):
        assert "in fail" in line["exception"]
        assert f"RuntimeError: call with Bearer {REDACTED}" in line["exception"]
        assert SHOWN in line["exception"]


def test_numbers_and_nothing_stay_what_they_are(lines: Any) -> None:
    get_logger("demo.numbers").info("logged", count=1, share=0.5, fine=True, nothing=None)
    (line,) = lines()
    assert (line["count"], line["share"], line["fine"], line["nothing"]) == (1, 0.5, True, None)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"bearer  {SECRET},",
        f"X-API-Key: {SECRET}",
        f"x-api-key:{SECRET}",
        f"x-api-key={SECRET}",
        f"x-api-key {SECRET}",
        f"{{'X-API-Key': '{SECRET}'}}",
        f"(b'x-api-key', b'{SECRET}')",
        f"_{KEY}",
        f"?key={KEY}&x=1",
        f"{KEY}{KEY}",
    ],
)
def test_credentials_are_found_wherever_they_stand(text: str) -> None:
    assert SECRET not in redact(text)
    assert REDACTED in redact(text)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_key_is_found_between_whatever_stands_around_it(before: str, after: str) -> None:
    assert SECRET not in redact(before + KEY + " " + after)


def test_ordinary_text_stays() -> None:
    text = "channel tw_chat of tests/w1, key id 0123456789abcdef, x-api-keys"
    assert redact(text) == text
