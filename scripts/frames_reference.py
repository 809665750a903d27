"""The reference of frames, docs/reference/frames.md: every frame with its fields and examples, made from the contracts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.contract_words import table
from scripts.environment import ROOT
from scripts.frame_model import Example, Field, Frame, Protocol, read_protocol

FILE: Final = ROOT / "docs" / "reference" / "frames.md"
_INTRODUCTION: Final = """# Frames

<!-- Made from protos/ by `python3 scripts/manage.py check --fix`. Do not edit. -->

Every frame of the wire protocol with its fields, and golden frames as examples: the tests hold both to the contracts and to a
running edge. For programs the same is [AsyncAPI 3](asyncapi.yaml). What the frames mean, and in which order they come:
[wire protocol](../protocol.md).

Integers of 64 bits (`uint64`) are numbers, or strings of decimal digits. Unknown extra fields are ignored.
"""
_KINDS: Final = {"object": "object", "any": "anything", "time": "RFC 3339"}


def render() -> str:
    """Return the page.

    Raises:
        SetupError: a contract does not compile.
    """
    protocol = read_protocol()
    parts = [_INTRODUCTION]
    for title, frames in (("Frames of a client", protocol.client), ("Frames of the server", protocol.server)):
        parts.append(f"\n## {title}\n")
        parts += [_frame(frame, protocol) for frame in frames]
    errors = [(f"`{name}`", words) for name, words in protocol.error_types.items()]
    codes = [(str(code), words) for code, words in protocol.close_codes.items()]
    parts.append("\n## Error types\n\n" + table(("`error_type`", "what it is"), errors))
    parts.append("\n## Close codes\n\n" + table(("code", "what it is"), codes))
    return "".join(parts)


def is_fresh(file: Path = FILE) -> bool:
    """Whether the page is what the contracts say."""
    return file.exists() and file.read_text() == render()


def write(file: Path = FILE) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render())


def _frame(frame: Frame, protocol: Protocol) -> str:
    answers = ", ".join(f"`{name}`" for name in frame.answers)
    rows = [
        (f"`{name}`", _kind(field), "always" if field.required else "", field.words)
        for name, field in _flat("", frame.message.fields, protocol)
    ]
    return (
        f'\n<a id="{frame.message.name}"></a>\n\n### {frame.type}\n\n{frame.message.words}\n'
        + (f"\nMay be answered by {answers}.\n" if answers else "")
        + "\n"
        + table(("field", "type", "there", "what it is"), rows)
        + "".join(_example(example) for example in frame.examples)
    )


def _flat(prefix: str, fields: tuple[Field, ...], protocol: Protocol) -> Iterator[tuple[str, Field]]:
    for field in fields:
        name = f"{prefix}{field.name}{'[]' if field.repeated else ''}"
        yield name, field
        if field.kind in protocol.messages:
            yield from _flat(f"{name}.", protocol.messages[field.kind].fields, protocol)


def _kind(field: Field) -> str:
    if field.constant:
        return f'`"{field.constant}"`'
    kind = _KINDS.get(field.kind) or ("object" if field.kind[0].isupper() else field.kind)
    return f"list of {kind}" if field.repeated else kind


def _example(example: Example) -> str:
    return f"\n{example.words}\n\n```json\n{json.dumps(example.frame, ensure_ascii=False)}\n```\n"
