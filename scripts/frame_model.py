"""The frames of the wire protocol as values: what a client sends and what the server sends, with fields, words and examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto

from scripts.contract_words import in_words
from scripts.contracts import PROTOS
from scripts.frame_contracts import (
    FRAMES,
    NO_FRAMES_OF_THE_SERVER,
    Comments,
    comments_of,
    described,
    may_be_absent,
    type_of_frame,
)

_PACKAGE: Final = "tidewire.edge.v1"
_PREFIX: Final = {"ErrorType": "ERROR_TYPE_", "CloseCode": "CLOSE_CODE_"}


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Args:
        name: On the wire.
        kind: `string`, `boolean`, `uint32`, `uint64`, `object`, `any`, `time`, or the name of a message.
        repeated: There may be several.
        required: It is always there.
        constant: The only value that it has; empty: any.
        words: What it is.
    """

    name: str
    kind: str
    repeated: bool
    required: bool
    constant: str
    words: str


@dataclass(frozen=True)
class Message:
    """A message of the contracts: its name, what it is, its fields."""

    name: str
    words: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Example:
    """A golden frame: its name, what it shows, the frame."""

    name: str
    words: str
    frame: Mapping[str, Any]


@dataclass(frozen=True)
class Frame:
    """A frame.

    Args:
        type: Its `type`.
        message: Its message.
        answers: Types of the frames that may answer it, in the order in which its comment names them.
        examples: Golden frames of it.
    """

    type: str
    message: Message
    answers: tuple[str, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Protocol:
    """Everything.

    Args:
        client: The frames of a client.
        server: The frames of the server.
        messages: Every message, those inside of frames included, by name.
        error_types: Values of `error_type`, each with its words.
        close_codes: Codes of the close frame, each with its words.
    """

    client: tuple[Frame, ...]
    server: tuple[Frame, ...]
    messages: Mapping[str, Message]
    error_types: Mapping[str, str]
    close_codes: Mapping[int, str]


def read_protocol(protos: Path = PROTOS) -> Protocol:
    """Read the contracts and the golden frames.

    Raises:
        SetupError: a contract does not compile.
    """
    messages: dict[str, Message] = {}
    of_file: dict[str, list[Message]] = {}
    enums: dict[str, tuple[EnumDescriptorProto, tuple[int, ...], Comments]] = {}
    for file in described(FRAMES, protos):
        comments = comments_of(file)
        found = [_message(message, (4, number), comments) for number, message in enumerate(file.message_type)]
        of_file[file.name.rpartition("/")[2]] = found
        messages.update({message.name: message for message in found})
        enums.update({enum.name: (enum, (5, number), comments) for number, enum in enumerate(file.enum_type)})
    examples = list(_examples(protos / "golden"))
    server = _frames([*of_file["server_frames.proto"], *of_file["errors.proto"]], (), examples)
    client = _frames(of_file["client_frames.proto"], [frame.type for frame in server], examples)
    return Protocol(
        client,
        server,
        messages,
        {name.lower(): words for name, _, words in _values(*enums["ErrorType"])},
        {code: words for _, code, words in _values(*enums["CloseCode"])},
    )


def _message(message: DescriptorProto, path: tuple[int, ...], comments: Comments) -> Message:
    fields = [
        _field(message, field, comments.get((*path, 2, number), "")) for number, field in enumerate(message.field)
    ]
    return Message(message.name, in_words(comments.get(path, "")), tuple(fields))


_KINDS: Final = {
    ".google.protobuf.Struct": "object",
    ".google.protobuf.Value": "any",
    ".google.protobuf.Timestamp": "time",
}
_SCALARS: Final = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "boolean",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
}


def _field(message: DescriptorProto, field: FieldDescriptorProto, comment: str) -> Field:
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        kind = _KINDS.get(field.type_name) or field.type_name.rpartition(".")[2]
    else:
        kind = _SCALARS[field.type]
    return Field(
        field.json_name,
        kind,
        field.label == FieldDescriptorProto.LABEL_REPEATED,
        not may_be_absent(message, field),
        type_of_frame(field, comment),
        in_words(comment),
    )


def _frames(
    messages: Sequence[Message], answers: Sequence[str], examples: Sequence[tuple[str, Example]]
) -> tuple[Frame, ...]:
    frames = []
    for message in messages:
        if not message.name.endswith("Frame") or message.name in NO_FRAMES_OF_THE_SERVER:
            continue
        (frame_type,) = (field.constant for field in message.fields if field.name == "type")
        own = tuple(example for name, example in examples if name == f"{_PACKAGE}.{message.name}")
        frames.append(Frame(frame_type, message, _answers(message.words, answers), own))
    return tuple(frames)


def _answers(words: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the frames that a comment names as answers; an error may always be one."""
    if not known:
        return ()
    named = re.findall(r"`(\w+)`", words.partition("Answer")[2])
    return tuple(dict.fromkeys([name for name in named if name in known] + ["error"]))


def _values(enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[tuple[str, int, str]]:
    for number, value in enumerate(enum.value):
        if value.number:
            words = in_words(comments.get((*path, 2, number), ""))
            yield value.name.removeprefix(_PREFIX[enum.name]), value.number, words


def _examples(folder: Path) -> Iterator[tuple[str, Example]]:
    """Yield golden frames, each with the name of its message."""
    for file in sorted(folder.glob("*.json")):
        golden = json.loads(file.read_text())
        yield golden["message"], Example(golden["name"], golden["description"], golden["frame"])
