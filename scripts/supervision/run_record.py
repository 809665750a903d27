"""The record of a run in its data folder: a lock that says that it lives, and a file that says what `status` shows."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Final

_LOCK_FILE: Final = "run.lock"
_STATE_FILE: Final = "run.json"


class AlreadyRunningError(Exception):
    """Another supervisor runs on the same data folder."""

    def __init__(self, data_dir: Path, pid: object) -> None:
        super().__init__(
            f"Tidewire runs already with the data folder {data_dir} (pid {pid}): end it with `kill {pid}`, or use another"
            " --data-dir"
        )


class RunRecord:
    """The record of this process's run.

    Args:
        data_dir: The data folder; made when it is missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def open(self) -> None:
        """Say that this run has the folder.

        Raises:
            AlreadyRunningError: another one has.
            OSError: the folder cannot be used.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self._data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            self._descriptor = None
            state = read_state(self._data_dir) or {}
            raise AlreadyRunningError(self._data_dir, state.get("pid", "unknown")) from None

    def ready_file(self, service: str) -> Path:
        """Return where a service says that it listens."""
        return self._data_dir / f"{service}.ready"

    def write(self, state: dict[str, Any]) -> None:
        """Write what `status` shows."""
        draft = self._data_dir / f"{_STATE_FILE}.draft"
        draft.write_text(json.dumps({"pid": os.getpid(), **state}))
        draft.replace(self._data_dir / _STATE_FILE)

    def close(self) -> None:
        """Say that this run is over."""
        if self._descriptor is None:
            return
        for file in (self._data_dir / _STATE_FILE, *self._data_dir.glob("*.ready")):
            file.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def read_state(data_dir: Path) -> dict[str, Any] | None:
    """Return what a run wrote last; None if there is none."""
    try:
        state = json.loads((data_dir / _STATE_FILE).read_text())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def lives(data_dir: Path) -> bool:
    """Whether a run has the folder now."""
    try:
        descriptor = os.open(data_dir / _LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
