"""The rules for blocks find what is wrong: each of them has a block that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.test_blocks import LANGUAGES
from tests.support.doc_blocks import Block, blocks_of
from tests.support.doc_commands import WrongCommand, check_commands, commands


def block(language: str, text: str, kind: str = "", words: str = "") -> Block:
    return Block("page.md", 1, language, text, kind, words)


@pytest.mark.parametrize(
    "wrong",
    [
        block("text", "something"),
        block("sh", "ls\n"),
        block("sh", "ls\n", "not run", "why"),
        block("json", '{"type": "connect", "data": {"key": 1}}'),
        block("json", '{"type": "made_up"}'),
        block("json", "{"),
        block("python", "def f(:\n", "run", "x"),
        block("python", "await Nothing()\n", "not run", "part of a program"),
        block("python", "print(1)\n"),
        block("javascript", "let a = 1;\n"),
        block("ts", "let a = 1;\n"),
        block("yaml", "a: [1\n"),
        block("ini", "a = 1\n"),
        block("mermaid", "flowchart LR\n"),
        block("mermaid", "sequenceDiagram\nparticipant A as a\nA->>B: hello\n"),
        block("mermaid", "sequenceDiagram\nparticipant A as a\nalt x\nA->>A: hello\n"),
    ],
    ids=lambda wrong: f"{wrong.language}: {wrong.text[:30]}",
)
def test_what_is_wrong_is_found(wrong: Block) -> None:
    with pytest.raises(Exception):  # noqa: B017 - whatever the reader of the language raises
        LANGUAGES[wrong.language](wrong)


@pytest.mark.parametrize(
    "text",
    [
        "tidewire keys crate",
        "tidewire keys create --ownr shop",
        "python3 scripts/manage.py start --port 8000",
        "python3 scripts/manage.py bench fanout --onyl nchan",
        "python3 scripts/run_server.py --reddis x",
        "python3 -m auth_service boot",
        "python3 -m ws_edge --prot 8000",
        "export TIDEWIRE_EDGE_PROT=8000",
        "docker run x && tidewire nothing",
    ],
)
def test_what_a_program_would_refuse_is_found(text: str) -> None:
    with pytest.raises(WrongCommand):
        check_commands(text)


def test_commands_of_a_block() -> None:
    text = "a --b 'c d' | e > f  # words\nfor x in 1 2; do\n  g $x \\\n    h\ndone\n$ i\n"
    assert list(commands(text)) == [["a", "--b", "c d"], ["e"], ["for", "x", "in", "1", "2"], ["g", "$x", "h"], ["i"]]
    assert check_commands("tidewire listen lobby\nls\npython3 -m session_service renew-epochs --data-dir x\n") == 2


def test_blocks_are_read_with_the_comment_right_before_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run: first -->\n```sh\nls\n```\n\n<!-- not run: far away -->\n\nwords\n\n  ```json\n  {}\n  ```\n\n"
        "<!-- output: of ls -->\n```\nfile\n```\n"
    )
    found = [(b.line, b.language, b.text, b.kind, b.words) for b in blocks_of(page)]
    assert found == [
        (2, "sh", "ls\n", "run", "first"),
        (10, "json", "{}\n", "", ""),
        (15, "", "file\n", "output", "of ls"),
    ]
