"""Lua scripts of the key store; `change_log.lua` stands before those that write."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
# Scripts that write get the shared head before them; Redis refuses to begin one when it could not finish it.
_WRITING: Final = ("put", "remove", "expire", "peppers", "confirm", "at_home", "charge", "rehash", "index_audit")
_READING: Final = ("due", "page", "changes", "audit_page", "use_counts")


def script_texts() -> dict[str, bytes]:
    """Return what Redis is given of each script, by the script's name.

    Raises:
        OSError: a script is missing.
    """
    head = (FOLDER / "change_log.lua").read_bytes()
    writing = {name: b"#!lua\n" + head + (FOLDER / f"{name}.lua").read_bytes() for name in _WRITING}
    reading = {name: b"#!lua flags=no-writes\n" + (FOLDER / f"{name}.lua").read_bytes() for name in _READING}
    return writing | reading
