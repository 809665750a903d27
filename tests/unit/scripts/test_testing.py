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
    assert testing._counts(junit) == "tests: none were run"
    junit.write_text(JUNIT)
    assert testing._counts(junit) == "tests: 9 passed, 1 failed, 2 errors, 3 skipped in 5 s"
