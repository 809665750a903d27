"""Types of the frames for TypeScript: interfaces made from the contracts of `protos/tidewire/edge/v1/`.

They say what is on the wire (`envelope.proto`): names are those of the JSON, and integers of 64 bits are numbers or
decimal strings. Fields without `optional` are always there, and so are the `data` of a frame and all of a stored message;
what differs stands in `frame_contracts.py`, and the golden frames prove it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from scripts.contracts import PROTOS
from scripts.environment import ROOT
from scripts.frame_contracts import (
    FRAMES,
    NO_FRAMES_OF_THE_SERVER,
    Comments,
    comments_of,
    described,
    may_be_absent,
    type_of_frame,
)

FILE: Final = ROOT / "frontend" / "packages" / "tidewire-client" / "src" / "frames.ts"
_HEADER: Final = """// The frames of the wire protocol. Do not edit: scripts/generate_contracts.py makes them from contracts.

/** An integer of up to 64 bits: a number, or its decimal digits. */
export type Int64 = number | string;

/** An object of JSON. */
export type JsonObject = Record<string, unknown>;
"""
_WELL_KNOWN: Final = {
    ".google.protobuf.Struct": "JsonObject",
    ".google.protobuf.Value": "unknown",
    ".google.protobuf.Timestamp": "string",
}
_SCALARS: Final = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "boolean",
    FieldDescriptorProto.TYPE_UINT32: "number",
    FieldDescriptorProto.TYPE_UINT64: "Int64",
}
_WIDTH: Final = 116


def write(target: Path = FILE) -> bool:
    """Write the file; return whether it changed.

    Raises:
        SetupError: a contract does not compile.
    """
    text = render()
    if target.exists() and target.read_text() == text:
        return False
    target.write_text(text)
    return True


def is_fresh(target: Path = FILE) -> bool:
    """Return whether the committed file is what the contracts say.

    Raises:
        SetupError: a contract does not compile.
    """
    return target.exists() and target.read_text() == render()


def render(protos: Path = PROTOS) -> str:
    """Return the text of the file.

    Raises:
        SetupError: a contract does not compile.
    """
    files = described(FRAMES, protos)
    parts = [_HEADER, *(part for file in files for part in _file(file)), *_unions(files)]
    return "\n".join(parts)


def _file(file: FileDescriptorProto) -> Iterator[str]:
    comments = comments_of(file)
    for number, message in enumerate(file.message_type):
        yield _interface(message, (4, number), comments)
    for number, enum in enumerate(file.enum_type):
        yield _literals(enum, comments.get((5, number), ""))


def _interface(message: DescriptorProto, path: tuple[int, ...], comments: Comments) -> str:
    lines = [*_comment(comments.get(path, ""), ""), f"export interface {message.name} {{"]
    for number, field in enumerate(message.field):
        comment = comments.get((*path, 2, number), "")
        lines += _comment(comment, "  ")
        mark = "?" if may_be_absent(message, field) else ""
        lines.append(f"  {field.json_name}{mark}: {_type(field, comment)};")
    return "\n".join([*lines, "}", ""])


def _type(field: FieldDescriptorProto, comment: str) -> str:
    literal = type_of_frame(field, comment)
    if literal:
        return f'"{literal}"'
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        kind = _WELL_KNOWN.get(field.type_name) or field.type_name.rpartition(".")[2]
    else:
        kind = _SCALARS[field.type]
    return f"{kind}[]" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind


def _literals(enum: EnumDescriptorProto, comment: str) -> str:
    """Return an enum as what stands on the wire: close codes are their numbers, others lower-case names."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
    values = [value for value in enum.value if value.number]
    if enum.name == "CloseCode":
        words = [str(value.number) for value in values]
    else:
        words = [f'"{value.name.removeprefix(prefix).lower()}"' for value in values]
    choices = "".join(f"\n  | {word}" for word in words)
    return "\n".join([*_comment(comment, ""), f"export type {enum.name} ={choices};", ""])


def _unions(files: Sequence[FileDescriptorProto]) -> Iterator[str]:
    named = {file.name.rpartition("/")[2]: [message.name for message in file.message_type] for file in files}
    client = named["client_frames.proto"]
    server = [*named["server_frames.proto"], *named["errors.proto"]]
    yield _union("ClientFrame", "Any frame of a client.", [name for name in client if name.endswith("Frame")])
    frames = [name for name in server if name.endswith("Frame") and name not in NO_FRAMES_OF_THE_SERVER]
    yield _union("ServerFrame", "Any frame of the server; besides, the debug endpoint echoes.", frames)
    deliveries = [name for name in server if name.endswith("DeliveryFrame")]
    yield _union("DeliveryFrame", "A stored message, as its receivers see it.", deliveries)


def _union(name: str, comment: str, members: Sequence[str]) -> str:
    choices = "".join(f"\n  | {member}" for member in members)
    return f"/** {comment} */\nexport type {name} ={choices};\n"


def _comment(text: str, indent: str) -> list[str]:
    lines = [line.removeprefix(" ").rstrip() for line in text.strip("\n").splitlines()]
    if not lines:
        return []
    if len(lines) == 1 and len(lines[0]) + len(indent) <= _WIDTH:
        return [f"{indent}/** {lines[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */"]
