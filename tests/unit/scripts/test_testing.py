"""What pytest is asked to run, and how its counts are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import testing

JUNIT = (
    '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3" time="4.4"/>'
    '<testsuite tests="5" failures="0" errors="0" skipped="0" time="1"/></testsuites>'
)


@pytest.mark.parametrize(
    ("arguments", "names_tests"),
    [
        ([], False),
        (["-k", "fanout"], False),
        (["--lf", "-x"], False),
        (["tests/unit"], True),
        (["-x", "tests/conftest.py::something"], True),
    ],
)
def test_tests_that_are_named_replace_the_suite(arguments: list[str], names_tests: bool) -> None:
    assert testing._names_tests(arguments) is names_tests


def test_counts_are_those_of_pytest(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    assert testing._outcome(junit) == "tests: none were run"
    junit.write_text(JUNIT)
    assert testing._outcome(junit) == "tests: 9 passed, 1 failed, 2 errors, 3 skipped in 5 s"


def test_what_did_not_pass_is_told_by_name(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0" time="1">'
        '<testcase classname="tests.a" name="test_good"/>'
        '<testcase classname="tests.a" name="test_bad[1]"><failure message="assert 1 == 2&#10; + where">it</failure></testcase>'
        '<testcase classname="tests.b" name="test_no_start"><error message="failed on setup">it</error></testcase>'
        "</testsuite></testsuites>"
    )
    assert testing._outcome(junit).splitlines() == [
        "tests: 1 passed, 1 failed, 1 errors, 0 skipped in 1 s",
        "failure: tests.a.test_bad[1]: assert 1 == 2",
        "error: tests.b.test_no_start: failed on setup",
    ]


def test_several_processes_share_a_suite_and_one_runs_what_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(testing, "_tool", lambda *arguments: asked.append(arguments) or 0)
    for cores, arguments in ((1, []), (3, []), (64, []), (3, ["-k", "fanout"])):
        monkeypatch.setattr(testing.os, "cpu_count", lambda cores=cores: cores)
        testing._pytest("unit", tmp_path / "junit.xml", arguments)
    runs = [words for words in asked if "pytest" in words]
    assert [[word for word in words if "--numprocesses" in word] for words in runs] == [
        ["--numprocesses=2"],
        ["--numprocesses=3"],
        ["--numprocesses=4"],
        [],
    ]
    assert runs[-1][-3:] == ("tests/unit", "-k", "fanout")


@pytest.mark.parametrize(
    ("suite", "left_out"), [("all", False), ("quick", True), ("integration", True), ("deploy", False), ("unit", False)]
)
def test_containers_are_left_out_where_they_were_not_asked_for(
    suite: str, left_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(testing, "_tool", lambda *arguments: asked.append(arguments) or 0)
    testing._pytest(suite, tmp_path / "junit.xml", [])
    assert ("--ignore=tests/deploy/containers" in asked[-1]) is left_out
    assert ("run `manage.py test deploy`" in capsys.readouterr().out) is left_out


def test_the_quick_suite_leaves_out_what_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(testing, "_tool", lambda *arguments: asked.append(arguments) or 0)
    testing._pytest("quick", tmp_path / "junit.xml", [])
    words = " ".join(asked[-1])
    assert "-m not slow" in words
    assert "tests/unit" in words
    assert "tests/protocol" in words
    assert "tests/e2e" not in words
