"""The pepper file: made once, readable by its owner alone, never overwritten.

    {"current": 1, "versions": {"1": "<at least 32 characters>"}}

To rotate the pepper, add a version and make it the current one; keep the old ones while keys of theirs are used.
"""

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Final

from auth_service.core.errors import PepperError
from auth_service.core.hashing import Peppers, add_pepper

PEPPER_BYTES: Final = 32
_OTHERS: Final = 0o077


def load_or_make(path: Path) -> tuple[Peppers, bool]:
    """Read the peppers from a file, which is made with a random one if it is not there.

    Returns:
        The peppers, and whether the file was made.

    Raises:
        PepperError: the file is malformed, cannot be used, or can be read by others.
    """
    try:
        made = not path.exists() and _make(path)
        if path.stat().st_mode & _OTHERS:
            raise PepperError(f"{path} can be read by others; run: chmod 600 {path}")
        return _read(path), made
    except OSError as error:
        raise PepperError(f"{path} cannot be used: {error.strerror}") from None


def _make(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    text = json.dumps({"current": 1, "versions": {"1": secrets.token_urlsafe(PEPPER_BYTES)}})
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two processes that start at once the second finds the first one's file.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Peppers:
    try:
        document = json.loads(path.read_text())
        current, given = document["current"], dict(document["versions"])
        versions: dict[int, bytes] = {}
        for number, secret in given.items():
            add_pepper(versions, number, secret)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PepperError(f'{path} must hold {{"current": 1, "versions": {{"1": "..."}}}}') from None
    except PepperError as error:
        raise PepperError(f"{path}: {error}") from None
    if not isinstance(current, int) or current not in versions:
        raise PepperError(f"{path}: the current version {current} is not among the versions")
    return Peppers(current, versions)
