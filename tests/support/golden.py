"""The golden frames of the contracts: one JSON file for each frame and error of protocol.md, both directions."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from google.protobuf import symbol_database
from google.protobuf.message import Message

from tests.support import frame_catalogue  # noqa: F401 - registers the messages

GOLDEN_DIR = Path(__file__).resolve().parents[2] / "protos" / "golden"


@dataclass(frozen=True)
class GoldenFrame:
    """One file."""

    name: str
    direction: Literal["client", "server"]
    description: str
    message: str
    frame: dict[str, Any]

    @property
    def message_type(self) -> type[Message]:
        return symbol_database.Default().GetSymbol(self.message)


@functools.cache
def golden_frames() -> tuple[GoldenFrame, ...]:
    """Return all golden frames, by name."""
    return tuple(GoldenFrame(**json.loads(path.read_text())) for path in sorted(GOLDEN_DIR.glob("*.json")))
