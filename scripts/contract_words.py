"""The comments of contracts as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def lines_of(comment: str) -> list[str]:
    """Return a comment's lines without what marks them as one."""
    return [line.removeprefix(" ").rstrip() for line in comment.strip("\n").splitlines()]


def in_words(comment: str) -> str:
    """Return a comment as one line, without the examples in it, which are indented."""
    return " ".join(line for line in lines_of(comment) if line and not line.startswith("    "))


def as_blocks(comment: str) -> str:
    """Return a comment as paragraphs and indented code, as Markdown has them."""
    return "\n".join(lines_of(comment)).strip()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; empty without rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
