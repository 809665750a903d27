"""How checks are run and reported, and what contracts are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import buf, checks, contracts
from scripts.checks import Check, Outcome, Verdict
from scripts.environment import SetupError


def raises(error: Exception) -> Callable[[], Outcome]:
    def run() -> Outcome:
        raise error

    return run


def test_all_checks_run_and_any_failure_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = (
        Check("first", lambda: Outcome(Verdict.FAILED, output="line 3 is wrong")),
        Check("second", raises(SetupError("no tool"))),
        Check("third", lambda: Outcome(Verdict.SKIPPED, "no node")),
        Check("fourth", lambda: Outcome(Verdict.PASSED)),
    )
    monkeypatch.setattr(checks, "CHECKS", chosen)
    assert checks.run_checks() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if not line.startswith("   ")][:4] == [
        ["FAILED", "first"],
        ["FAILED", "second"],
        ["skipped", "third:"],
        ["ok", "fourth"],
    ]
    assert "line 3 is wrong" in lines[1]
    assert "no tool" in lines[3]
    assert lines[-1] == "2 of 4 checks failed"


def test_skipped_checks_are_no_failures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(checks, "CHECKS", (Check("only", lambda: Outcome(Verdict.SKIPPED, "no node")),))
    assert checks.run_checks() == 0


@pytest.mark.parametrize(
    ("bases", "before", "chosen"),
    [
        ({"main": "a", "origin/main": "a"}, "z", "main"),
        ({"main": None, "origin/main": "a"}, "z", "origin/main"),
        ({"main": "head", "origin/main": "head"}, "z", "HEAD~1"),
        ({"main": "head", "origin/main": "a"}, "z", "origin/main"),
        ({"main": None, "origin/main": None}, "z", "HEAD~1"),
        ({"main": "head", "origin/main": None}, None, None),
    ],
)
def test_contracts_are_compared_with_main_and_main_with_the_commit_before(
    bases: dict[str, str | None], before: str | None, chosen: str | None
) -> None:
    assert buf.choose_base("head", bases, before) == chosen


def test_without_node_buf_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert buf.lint().skipped
    assert buf.breaking().skipped


CONTRACT = 'syntax = "proto3";\npackage demo;\n// A thing.\nmessage Thing {\n  // Its name.\n  string name = 1;\n}\n'


def test_generated_code_is_written_compared_and_removed(tmp_path: Path) -> None:
    contract = tmp_path / "demo" / "thing.proto"
    contract.parent.mkdir()
    contract.write_text(CONTRACT)
    made = {str(file) for file in contracts.generate(tmp_path)}
    assert {"demo/thing_pb2.py", "demo/thing_pb2.pyi", "demo/thing_pb2_grpc.py"} <= made
    assert contracts.stale(tmp_path) == []
    contract.write_text(CONTRACT.replace("name = 1", "title = 1"))
    assert Path("demo/thing_pb2.py") in contracts.stale(tmp_path)
    contract.rename(tmp_path / "demo" / "matter.proto")
    contracts.generate(tmp_path)
    assert not (tmp_path / "demo" / "thing_pb2.py").exists()
    assert contracts.stale(tmp_path) == []


def test_a_contract_that_does_not_compile_is_explained(tmp_path: Path) -> None:
    (tmp_path / "bad.proto").write_text('syntax = "proto3";\nmessage {')
    with pytest.raises(SetupError, match=r"bad\.proto:2"):
        contracts.generate(tmp_path)
