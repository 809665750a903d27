"""A file system of a few megabytes, to be filled up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.requirements import skip_without

_BLOCK = 64 * 1024


class SmallDisk:
    """Where it is mounted, and what fills it.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all space but so many bytes."""
        with self._ballast.open("ab", buffering=0) as file:
            while True:
                room = self.free() - leave
                if room <= 0:
                    return
                try:
                    file.write(b"\0" * min(room, _BLOCK))
                except OSError:
                    return

    def free(self) -> int:
        """Return how many bytes are left."""
        left = os.statvfs(self.path)
        return left.f_bavail * left.f_bsize

    def make_room(self) -> None:
        """Take nothing any more."""
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Let nothing be written; nobody may have a file open for writing."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)

    def make_writable(self) -> None:
        """Let things be written again."""
        subprocess.run(["mount", "-o", "remount,rw", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a file system of `size` bytes for a while. Skips the test where this user may mount none."""
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tidewire-tests", str(path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        skip_without("root, who may mount a file system")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
