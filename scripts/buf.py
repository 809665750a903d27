"""buf over the contracts: style, comments, and whether a change breaks those who use them.

buf comes from npm, into a folder of its own; without Node.js its two checks are skipped.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from scripts.environment import ROOT
from scripts.npm_tool import Answer, NpmTool

VERSION: Final = "1.75.0"
_TOOL: Final = NpmTool("buf", {"@bufbuild/buf": VERSION})
# What a change is compared with, best first: a clone of one branch has no local main.
_BASES: Final = ("main", "origin/main")


def lint() -> Answer:
    """Ask for style and comments.

    Raises:
        SetupError: buf cannot be installed.
    """
    return _TOOL.without_node() or _ask("lint", "protos")


def breaking() -> Answer:
    """Ask if the contracts break those of main; on main itself, those of the commit before.

    Raises:
        SetupError: buf cannot be installed.
    """
    if (answer := _TOOL.without_node()) is not None:
        return answer
    base = choose_base(head=_commit("HEAD"), bases={name: _commit(name) for name in _BASES}, before=_commit("HEAD~1"))
    if base is None:
        return Answer(skipped=True, words="there is no commit to compare with")
    with tempfile.TemporaryDirectory() as folder:
        if not _extract(base, Path(folder)):
            return Answer(skipped=True, words=f"{base} has no contracts")
        return _ask("breaking", "protos", "--against", str(Path(folder) / "protos"), words=f"compared with {base}")


def choose_base(head: str | None, bases: dict[str, str | None], before: str | None) -> str | None:
    """Return what to compare the contracts with; None if there is nothing.

    Args:
        head: The commit that is checked out.
        bases: The commits of the branches that count, best first; None for a branch that is not there.
        before: The commit before `head`.
    """
    for name, commit in bases.items():
        if commit is not None and commit != head:
            return name
    return "HEAD~1" if before is not None else None


def _ask(*arguments: str, words: str = "") -> Answer:
    _TOOL.ensure()
    result = subprocess.run(
        [str(_TOOL.command("buf")), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Answer(passed=result.returncode == 0, words=words, output=result.stdout)


def _commit(name: str) -> str | None:
    result = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() if result.returncode == 0 else None


def _extract(commit: str, folder: Path) -> bool:
    """Write the contracts of a commit into a folder; return whether it has any."""
    result = subprocess.run(["git", "archive", commit, "protos"], cwd=ROOT, capture_output=True, check=False)
    if result.returncode != 0:
        return False
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return True
