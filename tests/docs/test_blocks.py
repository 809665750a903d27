"""Every code block of the documents is run by a test, or held against what it is about, or says why it is not."""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import re
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

import pytest
import yaml
from google.protobuf import json_format

from tests.support.doc_blocks import Block, blocks
from tests.support.doc_commands import check_commands
from tests.support.frame_catalogue import CLIENT_FRAMES, check_server_frame
from tests.support.processes import ROOT

BLOCKS: Final = blocks()
EXAMPLES: Final = {file.read_text(): file for file in (ROOT / "docs" / "examples").glob("*/*.[jp]*")}
# Blocks of pages that say nothing of how they are run: why they are not, by the beginning of their text.
REASONS: Final = {
    'import { websocket } from "$lib/stores/websocket";': "the store's tests in frontend/ use it so",
    "<ConnectionStatus state": "the component's tests in frontend/ use it so",
    "const alice = new WebSocketHelper(page);": "frontend/e2e uses the helper so",
}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 60
    assert {block.page for block in BLOCKS} >= {"README.md", "docs/tutorial.md", "docs/protocol.md", "docs/backup.md"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_block_is_what_it_says(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block.place}: no language, or one that nobody checks: {block.language!r}"
    LANGUAGES[block.language](block)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "run"], ids=lambda block: block.words)
def test_block_that_is_run_is_named_by_a_test(block: Block) -> None:
    name = re.compile(rf"""(["']){re.escape(block.words)}\1""")
    tests = [file for file in (ROOT / "tests").rglob("test_*.py") if name.search(file.read_text())]
    assert tests, f"{block.place}: no test runs {block.words!r}"


def test_tests_that_reasons_name_exist() -> None:
    named = {path for block in BLOCKS for path in re.findall(r"\btests/[\w/.]*\w", block.words)}
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_names_of_blocks_are_given_once() -> None:
    names = [block.words for block in BLOCKS if block.kind == "run"]
    assert sorted(names) == sorted(set(names))


def shell(block: Block) -> None:
    check_commands(block.text)
    assert block.kind == "run" or has_reason(block) or check_commands(block.text), f"{block.place}: not run, no reason"


def has_reason(block: Block) -> bool:
    return block.kind == "not run" and len(block.words) > 8


def text(block: Block) -> None:
    """What a program says, or a drawing: the comment before it says which."""
    assert block.kind == "output", f"{block.place}: say what it is, or give it a language"
    assert block.words


def json_lines(block: Block) -> None:
    for value in json_values(block.text):
        if isinstance(value, dict) and "type" in value:
            frame(value)


def json_values(written: str) -> list[Any]:
    """Read one value, or one on each line."""
    try:
        return [json.loads(written)]
    except ValueError:
        return [json.loads(line) for line in written.splitlines()]


def frame(value: dict[str, Any]) -> None:
    """A frame is one of the contracts: the server's has a time stamp."""
    if "timestamp" in value:
        check_server_frame(value, debug=False)
    else:
        json_format.ParseDict(value, CLIENT_FRAMES[value["type"]]())


def yaml_documents(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


def ini(block: Block) -> None:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(block.text)
    assert parser.sections()
    for section in parser.values():
        check_commands("\n".join(value for name, value in section.items() if name.startswith("Exec")))


def python(block: Block) -> None:
    """It is a file of docs/examples, which tests run; or a test runs it; or its names are there."""
    if block.text in EXAMPLES or block.kind == "run":
        compiled(block)
        return
    assert has_reason(block), f"{block.place}: not run, no reason"
    code = compiled(block)
    public = {name for module in ("tidewire_client", "datetime") for name in vars(importlib.import_module(module))}
    called = {name for name in code.co_names if name[:1].isupper() or name == "timedelta"}
    assert called <= public, f"{block.place}: {called - public} are not there"


def compiled(block: Block) -> CodeType:
    return compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def javascript(block: Block) -> None:
    assert block.text in EXAMPLES, f"{block.place}: not a file of docs/examples, which tests run"


def elsewhere(block: Block) -> None:
    assert any(block.text.startswith(beginning) for beginning in REASONS), f"{block.place}: not run, no reason"


MESSAGE: Final = re.compile(r"(?P<from>\w+)\s*(?:-->>|->>|--x|-x|--\)|-\))\s*(?P<to>\w+)\s*:\s*\S")
STRUCTURE: Final = re.compile(r"(alt|else|opt|loop|par|and)\b.*|end")


def diagram(block: Block) -> None:
    """A sequence diagram: each line is a message between participants, a note, or part of a frame that ends."""
    head, *lines = [line.strip() for line in block.text.strip().splitlines()]
    assert head == "sequenceDiagram", f"{block.place}: {head}"
    participants: set[str] = set()
    depth = 0
    for line in lines:
        assert ";" not in line, f"{block.place}: a semicolon ends a line of a diagram: {line}"
        declared = re.fullmatch(r"participant (\w+) as .+", line)
        if declared:
            participants.add(declared[1])
            continue
        note = re.fullmatch(r"Note over (\w+): .+", line)
        message = MESSAGE.match(line)
        if note:
            assert note[1] in participants, f"{block.place}: {line}"
        elif message:
            assert {message["from"], message["to"]} <= participants, f"{block.place}: {line}"
        else:
            assert STRUCTURE.fullmatch(line), f"{block.place}: {line}"
            depth += {"alt": 1, "opt": 1, "loop": 1, "par": 1, "end": -1}.get(line.split()[0], 0)
    assert depth == 0, f"{block.place}: {depth} frames do not end"


LANGUAGES: Final[dict[str, Callable[[Block], None]]] = {
    "sh": shell,
    "text": text,
    "json": json_lines,
    "yaml": yaml_documents,
    "ini": ini,
    "python": python,
    "javascript": javascript,
    "ts": elsewhere,
    "svelte": elsewhere,
    "mermaid": diagram,
}
