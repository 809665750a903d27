"""The reference of gRPC, docs/reference/grpc.md: services, methods and messages, in the words of the contracts' comments."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from scripts.contract_words import as_blocks, in_words, table
from scripts.environment import ROOT
from scripts.frame_contracts import Comments, comments_of, described

FILE: Final = ROOT / "docs" / "reference" / "grpc.md"
_CONTRACTS: Final = (
    "tidewire/auth/v1/auth.proto",
    "tidewire/auth/v1/admin.proto",
    "tidewire/auth/v1/keys.proto",
    "tidewire/session/v1/session.proto",
    "tidewire/session/v1/threads.proto",
    "tidewire/session/v1/message.proto",
    "tidewire/session/v1/edge_stream.proto",
    "tidewire/envoy/v3/external_auth.proto",
)
_INTRODUCTION: Final = """# gRPC

<!-- Made from protos/ by `python3 scripts/manage.py check --fix`. Do not edit. -->

Every service, method and message between the services and for back ends. The text is that of the contracts in `protos/`,
which are also what clients in other languages are generated from ([verifying keys](../verifying-keys.md)). Services answer
reflection, so `grpcurl` needs no files, and `grpc.health.v1`.
"""
_SYNTAX: Final = 12
_FIELDS: Final = ("field", "type", "number", "what it is")
_TYPES: Final = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def render() -> str:
    """Return the page.

    Raises:
        SetupError: a contract does not compile.
    """
    by_name = {file.name: file for file in described(_CONTRACTS)}
    return _INTRODUCTION + "".join(_file(by_name[name]) for name in _CONTRACTS)


def is_fresh(file: Path = FILE) -> bool:
    """Whether the page is what the contracts say."""
    return file.exists() and file.read_text() == render()


def write(file: Path = FILE) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render())


def _file(file: FileDescriptorProto) -> str:
    comments = comments_of(file)
    parts = [f"\n## {file.name}\n\n{as_blocks(comments.get((_SYNTAX,), ''))}\n"]
    parts += [_service(service, (6, n), comments, file.package) for n, service in enumerate(file.service)]
    parts += [_message(message, (4, n), comments, file.package) for n, message in enumerate(file.message_type)]
    parts += [_enum(enum, (5, n), comments, file.package) for n, enum in enumerate(file.enum_type)]
    return "".join(parts)


def _service(service: ServiceDescriptorProto, path: tuple[int, ...], comments: Comments, package: str) -> str:
    rows = [_method(method, comments.get((*path, 2, n), "")) for n, method in enumerate(service.method)]
    return _section(service.name, package, comments.get(path, "")) + table(
        ("method", "takes", "returns", "what it does"), rows
    )


def _method(method: MethodDescriptorProto, comment: str) -> tuple[str, str, str, str]:
    takes = ("stream of " if method.client_streaming else "") + _link(method.input_type)
    returns = ("stream of " if method.server_streaming else "") + _link(method.output_type)
    return f"`{method.name}`", takes, returns, in_words(comment)


def _message(message: DescriptorProto, path: tuple[int, ...], comments: Comments, package: str) -> str:
    entries = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    rows = [
        (f"`{field.name}`", _type(field, entries), str(field.number), in_words(comments.get((*path, 2, n), "")))
        for n, field in enumerate(message.field)
    ]
    inner = f"{package}.{message.name}"
    parts = [_section(message.name, package, comments.get(path, "")), table(_FIELDS, rows)]
    parts += [
        _message(nested, (*path, 3, n), comments, inner)
        for n, nested in enumerate(message.nested_type)
        if not nested.options.map_entry
    ]
    parts += [_enum(enum, (*path, 4, n), comments, inner) for n, enum in enumerate(message.enum_type)]
    return "".join(parts)


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments, package: str) -> str:
    rows = [
        (f"`{value.name}`", str(value.number), in_words(comments.get((*path, 2, n), "")))
        for n, value in enumerate(enum.value)
    ]
    return _section(enum.name, package, comments.get(path, "")) + table(("value", "number", "what it is"), rows)


def _section(name: str, package: str, comment: str) -> str:
    return f'\n<a id="{package}.{name}"></a>\n\n### {name}\n\n{as_blocks(comment)}\n\n'


def _type(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    name = field.type_name.rpartition(".")[2]
    if name in entries:
        key, value = entries[name].field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    kind = _link(field.type_name) if field.type_name else _TYPES[field.type]
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {kind}"
    return f"optional {kind}" if field.proto3_optional else kind


def _link(type_name: str) -> str:
    """Return a link to a message or enum of this page; the name alone of one of Google's."""
    name = type_name.removeprefix(".")
    short = name.rpartition(".")[2]
    return f"[{short}](#{name})" if name.startswith(("tidewire.", "envoy.")) else f"`{name}`"
