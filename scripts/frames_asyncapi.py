"""The wire protocol as AsyncAPI 3, docs/reference/asyncapi.yaml: made from the contracts and the golden frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from scripts.environment import ROOT
from scripts.frame_model import Field, Frame, Message, Protocol, read_protocol

Json: TypeAlias = Mapping[str, Any]

FILE: Final = ROOT / "docs" / "reference" / "asyncapi.yaml"
_HEAD: Final = "# Made from protos/ by `python3 scripts/manage.py check --fix`. Do not edit.\n"
_DESCRIPTION: Final = (
    "One text message of the WebSocket is one JSON object. Operations are seen from the edge: it receives what clients send."
    " Unknown extra fields are ignored by both sides. In prose: docs/protocol.md."
)
_CHANNEL: Final = "#/channels/client"
# What a name in an envelope may be (protocol.md, "Names").
_CLIENT_ID: Final = "1 to 64 of A-Z a-z 0-9 _ -"
_KINDS: Final[Mapping[str, Json]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "uint32": {"type": "integer", "minimum": 0},
    "object": {"type": "object"},
    "time": {"type": "string", "format": "date-time"},
    "any": {},
}
_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}


def render() -> str:
    """Return the file.

    Raises:
        SetupError: a contract does not compile.
    """
    return _HEAD + "\n".join(_yaml(document(read_protocol()), 0)) + "\n"


def is_fresh(file: Path = FILE) -> bool:
    """Whether the file is what the contracts say."""
    return file.exists() and file.read_text() == render()


def write(file: Path = FILE) -> None:
    """Write the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render())


def document(protocol: Protocol) -> Json:
    """Return the document as a value."""
    frames = [*protocol.client, *protocol.server]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidewire wire protocol",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": "localhost:8000",
                "protocol": "ws",
                "description": "An edge; behind a proxy with TLS it is wss.",
            }
        },
        "channels": {"client": _channel(frames)},
        "operations": dict(_operations(protocol)),
        "components": {
            "messages": {frame.message.name: _message(frame) for frame in frames},
            "schemas": {name: _schema(message, protocol) for name, message in _used(protocol).items()},
        },
    }


def _channel(frames: Sequence[Frame]) -> Json:
    return {
        "address": "/client_{client_id}",
        "description": "The WebSocket of one client. In development there is /debug/client_{client_id} too, which echoes.",
        "parameters": {
            "client_id": {"description": f"Who the client says it is: {_CLIENT_ID}.", "examples": ["alice"]}
        },
        "messages": {frame.message.name: _ref(f"#/components/messages/{frame.message.name}") for frame in frames},
    }


def _operations(protocol: Protocol) -> Iterator[tuple[str, Json]]:
    of_type: dict[str, list[str]] = {}
    for frame in protocol.server:
        of_type.setdefault(frame.type, []).append(frame.message.name)
    for frame in protocol.client:
        replies = [_message_of_channel(name) for answer in frame.answers for name in of_type[answer]]
        reply = {"channel": _ref(_CHANNEL), "messages": replies}
        yield f"receive{_stem(frame)}", {**_operation("receive", frame), "reply": reply}
    for frame in protocol.server:
        yield f"send{_stem(frame)}", _operation("send", frame)


def _operation(action: str, frame: Frame) -> Json:
    return {
        "action": action,
        "channel": _ref(_CHANNEL),
        "title": frame.type,
        "summary": frame.message.words,
        "messages": [_message_of_channel(frame.message.name)],
    }


def _message(frame: Frame) -> Json:
    examples = [{"name": e.name, "summary": e.words, "payload": e.frame} for e in frame.examples]
    return {
        "name": frame.type,
        "title": frame.type,
        "summary": frame.message.words,
        "payload": _ref(f"#/components/schemas/{frame.message.name}"),
        **({"examples": examples} if examples else {}),
    }


def _used(protocol: Protocol) -> Mapping[str, Message]:
    """Return the messages that frames are, or have in them."""
    used: dict[str, Message] = {}
    waiting = [frame.message.name for frame in (*protocol.client, *protocol.server)]
    while waiting:
        name = waiting.pop(0)
        if name not in used:
            used[name] = protocol.messages[name]
            waiting += [field.kind for field in used[name].fields if field.kind in protocol.messages]
    return used


def _schema(message: Message, protocol: Protocol) -> Json:
    required = [field.name for field in message.fields if field.required]
    return {
        "type": "object",
        "description": message.words,
        "properties": {field.name: _property(field, message, protocol) for field in message.fields},
        **({"required": required} if required else {}),
    }


def _property(field: Field, message: Message, protocol: Protocol) -> Json:
    if field.constant:
        return {"type": "string", "const": field.constant, "description": field.words}
    if field.kind in protocol.messages:
        one: Json = _ref(f"#/components/schemas/{field.kind}")
    elif (message.name, field.name) == ("ErrorData", "error_type"):
        one = {"type": "string", "enum": list(protocol.error_types)}
    elif (message.name, field.name) == ("DisconnectData", "code"):
        one = {"type": "integer", "enum": list(protocol.close_codes)}
    elif field.kind == "uint64":
        one = {"oneOf": [{"type": "integer", "minimum": 0}, _DIGITS]}
    else:
        one = _KINDS[field.kind]
    if field.repeated:
        return {"type": "array", "items": one, "description": field.words}
    return {"allOf": [one], "description": field.words} if "$ref" in one else {**one, "description": field.words}


def _ref(place: str) -> Json:
    return {"$ref": place}


def _message_of_channel(name: str) -> Json:
    return _ref(f"{_CHANNEL}/messages/{name}")


def _stem(frame: Frame) -> str:
    return frame.message.name.removesuffix("Frame").removesuffix("Request")


def _yaml(value: Any, depth: int) -> Iterator[str]:
    """Yield the lines of a value that is not empty; scalars are written as JSON, which YAML 1.2 holds."""
    indent = "  " * depth
    is_object = isinstance(value, Mapping)
    for head, item in (
        [(f"{_key(key)}:", value[key]) for key in value] if is_object else [("-", item) for item in value]
    ):
        if isinstance(item, (Mapping, list, tuple)) and item:
            yield f"{indent}{head}"
            yield from _yaml(item, depth + 1)
        else:
            yield f"{indent}{head} {json.dumps(item, ensure_ascii=False)}"


def _key(text: str) -> str:
    return (
        text if re.fullmatch(r"[A-Za-z_$][\w$]*", text) and text not in ("null", "true", "false") else json.dumps(text)
    )
