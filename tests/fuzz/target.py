"""What a fuzz target is, and which there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeAlias

Check: TypeAlias = Callable[[bytes], None]
"""Tries one input; raises whatever shows that the oracle does not hold."""


@dataclass(frozen=True)
class Target:
    """One decoder or surface of the product, and what must hold for every input.

    Args:
        oracle: What must hold, in a sentence.
        opened: Opens what checks need, gives the check, and closes what it opened.
        seeds: Good inputs to begin with, by names that say what they are.
        words: Pieces of the input's language, for mutations.
        max_bytes: The longest input.
    """

    oracle: str
    opened: Callable[[], AbstractContextManager[Check]]
    seeds: Callable[[], Mapping[str, bytes]]
    words: tuple[bytes, ...] = ()
    max_bytes: int = 2048


TARGETS: Final = (
    "auth_http",
    "auth_rpcs",
    "client_library",
    "edge_http",
    "edge_stream",
    "forwarded_headers",
    "frame_codec",
    "key_parser",
    "permissions",
    "proxy_header",
    "redis_bodies",
    "session_rpcs",
    "websocket_reader",
)
"""Each is a module of `tests/fuzz/targets`, and a folder of `tests/fuzz/corpus`."""

PLANTED: Final = "planted"
"""A target with faults that must be found: it proves that the others would say so. Not part of `TARGETS`."""


def load(name: str) -> Target:
    """Import a target; in a guided run only where its imports are instrumented.

    Raises:
        KeyError: there is none of this name.
    """
    if name not in (*TARGETS, PLANTED):
        raise KeyError(name)
    found: Target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
    return found
