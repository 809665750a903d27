"""TypeScript's view of the frames: what is made of fields, and that the committed file is what the contracts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import frames_typescript
from scripts.contracts import PROTOS
from scripts.environment import SetupError

NAMES = ("envelope", "client_frames", "server_frames", "errors")


@pytest.fixture(scope="module")
def text() -> str:
    return frames_typescript.render()


def interface(text: str, name: str) -> list[str]:
    """Return the fields of an interface, without comments."""
    body = text.split(f"export interface {name} {{\n")[1].split("\n}\n")[0]
    return [line.strip() for line in body.splitlines() if not line.strip().startswith(("/**", "*"))]


def test_committed_file_is_fresh(text: str) -> None:
    assert frames_typescript.FILE.read_text() == text
    assert frames_typescript.is_fresh()


def test_types_of_frames_are_literals_and_wide_integers_may_be_digits(text: str) -> None:
    assert interface(text, "AckFrame")[:2] == ['type: "ack";', "data: AckData;"]
    assert interface(text, "AckData") == ["channel: string;", "epoch: string;", "offset: Int64;"]
    assert 'export type ErrorType =\n  | "invalid_key"\n' in text
    assert "export type CloseCode =\n  | 1000\n" in text


def test_what_may_be_absent_is_optional(text: str) -> None:
    assert interface(text, "JoinChannelData") == [
        "channel: string;",
        "recover?: unknown;",
        "history?: number;",
        "presence?: boolean;",
    ]
    assert "data?: unknown;" in interface(text, "PingFrame")
    assert not [field for field in interface(text, "ChatMessageDeliveryFrame") if "?" in field]


def test_unions_hold_every_frame(text: str) -> None:
    assert "export type ClientFrame =\n  | ConnectFrame\n" in text
    server = text.split("export type ServerFrame =")[1].split(";")[0]
    assert "| ErrorFrame" in server
    assert "StoredFrame" not in server


def test_a_file_that_differs_is_stale_until_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "frames.ts"
    assert not frames_typescript.is_fresh(file)
    assert frames_typescript.write(file)
    assert frames_typescript.is_fresh(file)
    assert not frames_typescript.write(file)
    file.write_text(file.read_text().replace("number", "bigint"))
    assert not frames_typescript.is_fresh(file)


def test_a_contract_that_does_not_compile_is_explained(tmp_path: Path) -> None:
    folder = tmp_path / "tidewire" / "edge" / "v1"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.proto").write_bytes((PROTOS / "tidewire" / "edge" / "v1" / f"{name}.proto").read_bytes())
    (folder / "errors.proto").write_text('syntax = "proto3";\nmessage {')
    with pytest.raises(SetupError, match=r"errors\.proto:2"):
        frames_typescript.render(tmp_path)
