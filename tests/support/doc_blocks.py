"""The code blocks of the documents, with what stands before each: how it is run, or why it is not."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"<!-- (run|not run|output): ?([^\n]*?) ?-->\s*\Z")
# Made by scripts from what the tests hold them against, or installed.
_LEFT_OUT = ("docs/reference/frames.md", "docs/reference/grpc.md", "docs/examples/node/node_modules")


@dataclass(frozen=True)
class Block:
    """One code block.

    Args:
        page: The document, from the root of the checkout.
        line: Where its fence is.
        language: What stands behind the fence; empty: nothing.
        text: What is in it, without the indent of a list.
        kind: `run`, `not run` or `output`, from the comment right before it; empty: there is none.
        words: The rest of that comment: the name of what runs it, the reason why it is not run, whose output it is.
    """

    page: str
    line: int
    language: str
    text: str
    kind: str
    words: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.page}:{self.line}"


@functools.cache
def blocks() -> tuple[Block, ...]:
    """Return all blocks of README.md, CONTRIBUTING.md, deploy/README.md and docs/."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy" / "README.md"]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    return tuple(block for page in pages if not _is_left_out(page) for block in blocks_of(page))


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of one document."""
    text = page.read_text()
    return [_block(_name(page), text, match) for match in _FENCE.finditer(text)]


def named(name: str) -> Block:
    """Return the one block that is marked `<!-- run: NAME -->`."""
    (found,) = (block for block in blocks() if block.kind == "run" and block.words == name)
    return found


def _block(page: str, text: str, match: re.Match[str]) -> Block:
    before = text[: match.start()]
    note = _NOTE.search(before)
    indent = len(match["indent"])
    lines = [line[indent:] for line in match["text"].splitlines(keepends=True)]
    kind, words = note.groups() if note else ("", "")
    return Block(page, before.count("\n") + 1, match["info"].strip(), "".join(lines), kind, words)


def _is_left_out(page: Path) -> bool:
    return _name(page).startswith(_LEFT_OUT)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
