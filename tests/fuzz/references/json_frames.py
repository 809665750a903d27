"""Frames of clients, judged the slow way: Python's own JSON parser, then one rule of docs/protocol.md after the other."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal, NamedTuple

Verdict = Literal["good", "lax", "bad"]
"""`lax`: it says what is meant in another way than the protocol does, and may be taken or refused."""

MAX_OFFSET: Final = 2**63 - 1
MAX_DEPTH: Final = 100


class Whole(str):
    """A number without point and exponent, as it was written."""


class Real(str):
    """Any other number, as it was written."""


class Fields(list[tuple[str, Any]]):
    """An object, in the order it was written in, with names that come twice."""

    @property
    def unique(self) -> bool:
        return len({name for name, _ in self}) == len(self)


class Envelope(NamedTuple):
    """What a frame is: `good` with its fields; `open` or `closed`: refused, and what becomes of the connection."""

    kind: Literal["good", "open", "closed", "unclear"]
    type: str = ""
    id: str | None = None
    channel: str | None = None
    data: Any = None
    has_data: bool = False


def judge_envelope(text: bytes) -> Envelope:
    """Judge one text message (docs/protocol.md, "The envelope" and "Errors")."""
    if max(text.count(b"["), text.count(b"{")) > MAX_DEPTH:
        return Envelope("unclear")  # how deep is too deep is not told
    try:
        fields = _parse(text.decode())
    except ValueError:
        return Envelope("closed")
    if not isinstance(fields, Fields):
        return Envelope("closed")
    if not fields.unique:
        return Envelope("unclear")
    found = dict(fields)
    if type(found.get("type")) is not str:
        return Envelope("closed")
    frame_id, channel = found.get("id"), found.get("channel")
    good_id = frame_id is None or (type(frame_id) is str and 1 <= len(frame_id) <= 64)
    good_channel = channel is None or type(channel) is str
    kept_id = frame_id if good_id else None
    if not (good_id and good_channel):
        return Envelope("open", found["type"], kept_id)
    return Envelope("good", found["type"], kept_id, channel, found.get("data"), "data" in found)


def plain(text: bytes) -> Any:
    """Return JSON as Python's parser has it, numbers as they were written."""
    return _parse(text.decode())


def _parse(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    value = json.loads(text, object_pairs_hook=Fields, parse_int=Whole, parse_float=Real, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


# The `data` of frames: each field with its rule, `?` behind the name if it may be left out.

Rule = Any


def judge_data(frame_type: str, data: Any) -> Verdict:
    """Judge the `data` of a known frame (docs/protocol.md, "Frames of a client")."""
    return _object(data, RULES[frame_type])


def _object(value: Any, rules: dict[str, Rule]) -> Verdict:
    if not isinstance(value, Fields):
        return "bad"
    if not value.unique:
        return "lax"
    found = dict(value)
    verdicts: list[Verdict] = []
    for name, rule in rules.items():
        if name.rstrip("?") in found:
            verdicts.append(rule(found[name.rstrip("?")]))
        elif not name.endswith("?"):
            verdicts.append("bad")
    return _worst(verdicts)


def _worst(verdicts: list[Verdict]) -> Verdict:
    return max(verdicts, key=["good", "lax", "bad"].index, default="good")


def _any(value: Any) -> Verdict:
    return "good"


def _text(value: Any) -> Verdict:
    return "good" if type(value) is str else "bad"


def _matches(pattern: str) -> Rule:
    return lambda value: "good" if type(value) is str and re.fullmatch(pattern, value, re.DOTALL) else "bad"


def _number(least: int, most: int) -> Rule:
    def judge(value: Any) -> Verdict:
        if isinstance(value, Whole):
            return "good" if len(value) < 30 and least <= int(value) <= most else "bad"
        return "lax" if isinstance(value, str) else "bad"  # written as text, or with a point

    return judge


def _flag(value: Any) -> Verdict:
    if isinstance(value, bool):
        return "good"
    return "lax" if isinstance(value, str) and not isinstance(value, Real) else "bad"


def _or_null(rule: Rule) -> Rule:
    return lambda value: "good" if value is None else rule(value)


def _list(rule: Rule, most: int) -> Rule:
    def judge(value: Any) -> Verdict:
        if isinstance(value, Fields) or not isinstance(value, list) or len(value) > most:
            return "bad"
        return _worst([rule(each) for each in value])

    return judge


def _recover(value: Any) -> Verdict:
    if type(value) is str:
        return "good" if value == "last_acked" else "lax"
    return _object(value, {"epoch": _epoch, "offset": _offset})


_name = _matches(r"[A-Za-z0-9_-]{1,64}")
_epoch = _matches(r".{1,64}")
_offset = _number(0, MAX_OFFSET)
_message = {"content?": _any, "thread_id?": _or_null(_text)}
RULES: Final[dict[str, dict[str, Rule]]] = {
    "connect": {
        "api_key": _text,
        "connection_type": _matches("chat|tasks|agents|graph"),
        "domain": _name,
        "workspace": _name,
        "resume?": _list(lambda each: _object(each, {"channel": _text, "epoch": _epoch, "offset": _offset}), 1000),
    },
    "join_channel": {
        "channel": _text,
        "recover?": _or_null(_recover),
        "history?": _or_null(_number(1, 1000)),
        "presence?": _flag,
    },
    "leave_channel": {"channel": _text},
    "presence": {"channel": _text},
    "ack": {"channel": _text, "epoch": _epoch, "offset": _offset},
    "history": {
        "channel": _text,
        "since?": _or_null(lambda each: _object(each, {"offset": _offset, "epoch?": _or_null(_epoch)})),
        "limit?": _number(1, 1000),
    },
    "receipt": {"channel": _text, "offset": _number(1, MAX_OFFSET)},
    "direct_message": {"to": _text},
    **dict.fromkeys(("chat_message", "channel_message", "task_update", "agent_status", "graph_update"), _message),
}
