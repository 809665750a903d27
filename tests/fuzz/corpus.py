"""The inputs that are kept: small files, each tried by `test_corpus.py` in every run of the tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target

CORPUS: Final = Path(__file__).with_name("corpus")
_HASH_CHARS: Final = 12


def folder_of(name: str) -> Path:
    """Return where a target's inputs are."""
    return CORPUS / name


def entries(name: str) -> list[Path]:
    """Return a target's inputs, by name."""
    folder = folder_of(name)
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def name_of(data: bytes) -> str:
    """Return the name of an input that was found: a part of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:_HASH_CHARS]


def add(name: str, data: bytes) -> Path | None:
    """Keep an input under its hash; None if it is there, under whatever name."""
    if any(path.read_bytes() == data for path in entries(name)):
        return None
    path = folder_of(name) / name_of(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_seeds(name: str, target: Target) -> list[Path]:
    """Write the target's own seeds, as `seed-NAME`; return those that were not there, or were others."""
    folder = folder_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for title, data in target.seeds().items():
        path = folder / f"seed-{title}"
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
            written.append(path)
    return written
