"""The page that the edge serves: built from `frontend/` when it is missing or older than its sources."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts.environment import ROOT
from scripts.node import PACKAGE, Node, find_node, install_node
from scripts.system_packages import has_node_packages

FRONTEND: Final = ROOT / "frontend"
BUNDLE: Final = ROOT / "ws_edge" / "static" / "app"
# What a bundle was built of.
_STAMP: Final = "sources.sha256"
_FILES: Final = (
    "index.html",
    "package.json",
    "package-lock.json",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
)
_FOLDERS: Final = ("src", "packages/tidewire-client/src")


class PageError(Exception):
    """The page cannot be built; the text says why."""


def is_fresh() -> bool:
    """Whether the bundle is there, and made of the sources as they are."""
    stamp = BUNDLE / _STAMP
    return (BUNDLE / "index.html").is_file() and stamp.is_file() and stamp.read_text() == sources_digest()


def sources_digest() -> str:
    """Return a digest of what the bundle is made of."""
    digest = hashlib.sha256()
    for file in _sources():
        digest.update(f"{file.relative_to(FRONTEND)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def ensure_page(say: Callable[[str], None]) -> None:
    """Build the bundle if it is not fresh; once, however many processes ask at the same time.

    Args:
        say: Told what takes its time.

    Raises:
        PageError: it cannot be built.
    """
    if is_fresh():
        return
    with (FRONTEND / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_fresh():
            return
        node = usable_node(say)
        say("building the page of the edge")
        _run([*node.npm, "run", "--silent", "page:build"], node)
        (BUNDLE / _STAMP).write_text(sources_digest())


def usable_node(say: Callable[[str], None]) -> Node:
    """Return Node.js with the packages of `frontend/` installed; installs what is missing.

    Args:
        say: Told what takes its time.

    Raises:
        PageError: there is none, or the packages cannot be had.
    """
    node = find_node()
    if node is None:
        say(f"installing Node.js: {PACKAGE} from PyPI")
        node = install_node()
    if node is None:
        raise PageError("it needs Node.js 20.19 or later, which is not here and cannot be installed from PyPI")
    if not has_node_packages(FRONTEND):
        say("installing the npm packages of frontend")
        _run([*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], node)
    return node


def _sources() -> Iterator[Path]:
    yield from (FRONTEND / name for name in _FILES)
    for folder in _FOLDERS:
        yield from sorted(file for file in (FRONTEND / folder).rglob("*") if file.is_file())


def _run(command: Sequence[str], node: Node) -> None:
    result = subprocess.run(
        command,
        cwd=FRONTEND,
        env=node.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise PageError(f"{' '.join(Path(word).name for word in command)} failed:\n{result.stdout.strip()}")
