"""Images from what this machine has: a base of its Python, Redis and HAProxy with the libraries that they load; a Prometheus.

There is no shell in them, and no package manager, and no server is asked for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tests.support.requirements import skip_without

SERVERS = ("redis-server", "haproxy")
# Of the official image of Redis: its user, and where it keeps its data.
REDIS_USER, REDIS_DATA = 999, "data"
# Of the official image of Prometheus: its name is that of its folder, too.
PROMETHEUS, NOBODY = "prometheus", 65534
_FOLDERS = {"tmp": 0o1777, "etc": 0o755, "proc": 0o755, "sys": 0o755, "dev": 0o755, "run": 0o755}
_LINKS = ("bin", "sbin", "lib", "lib64")
_NOT_NEEDED = ("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "site-packages", "dist-packages")
# Where Debian keeps what `python3 -m venv` installs.
_WHEELS = Path("/usr/share/python-wheels")


def pack_base(root: Path, archive: Path) -> None:
    """Pack the base image's files.

    Args:
        root: A folder that is made for them, and removed.
        archive: The tar file that is written.
    """
    _link_folders(root)
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    programs = [python, *(_program(name) for name in SERVERS)]
    standard_library = Path(sysconfig.get_path("stdlib"))
    _copy_tree(standard_library, root)
    if _WHEELS.is_dir():
        _copy_tree(_WHEELS, root)
    for file in {*programs, *_libraries([*programs, *standard_library.rglob("*.so")])}:
        _copy(file, root)
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/bin/python3").unlink(missing_ok=True)
    (root / "usr/bin/python3").symlink_to(python)
    _folder_of(root / REDIS_DATA, REDIS_USER)
    _pack(root, archive)


def pack_prometheus(root: Path, archive: Path) -> None:
    """Pack the files of an image of Prometheus, which keeps its data where the official one does; as `pack_base`."""
    _link_folders(root)
    program = _program(PROMETHEUS)
    for file in (program, *_libraries([program])):
        _copy(file, root)
    _folder_of(root / PROMETHEUS, NOBODY)
    _pack(root, archive)


def _link_folders(root: Path) -> None:
    """Have `/bin` and its like lead where they lead on this machine."""
    root.mkdir(exist_ok=True)
    for name in _LINKS:
        place = Path("/", name)
        if place.is_symlink():
            (root / name).symlink_to(place.readlink())


def _folder_of(folder: Path, user: int) -> None:
    folder.mkdir()
    os.chown(folder, user, user)


def _pack(root: Path, archive: Path) -> None:
    """Add what every image needs, and pack it."""
    for name, mode in _FOLDERS.items():
        (root / name).mkdir()
        (root / name).chmod(mode)
    subprocess.run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."], check=True)
    shutil.rmtree(root)


def _program(name: str) -> Path:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        skip_without(name)
    return Path(found)


def _libraries(files: Iterable[Path]) -> set[Path]:
    """Return what the loader would load for programs and libraries."""
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\t)(/\S+) \(", told, re.MULTILINE)}


def _copy(file: Path, root: Path) -> None:
    """Copy a file to its real place, under the name that it is asked for by."""
    place = root / file.parent.resolve().relative_to("/") / file.name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)


def _copy_tree(folder: Path, root: Path) -> None:
    shutil.copytree(
        folder,
        root / folder.resolve().relative_to("/"),
        ignore=shutil.ignore_patterns(*_NOT_NEEDED),
        symlinks=False,
        ignore_dangling_symlinks=True,
    )
