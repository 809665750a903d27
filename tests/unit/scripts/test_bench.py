"""Which benchmark is run with which arguments."""

from __future__ import annotations

import pytest

from scripts import manage
from scripts.bench import benchmark


@pytest.mark.parametrize(
    ("arguments", "module", "rest"),
    [
        ([], "benchmarks.message_path", []),
        (["fanout", "--rounds", "3"], "benchmarks.message_path", ["fanout", "--rounds", "3"]),
        (["--small"], "benchmarks.message_path", ["--small"]),
        (["verification", "--rounds", "3"], "benchmarks.verification", ["--rounds", "3"]),
        (["--compare", "--update"], "benchmarks.regression", ["--compare", "--update"]),
        (["revocation"], "benchmarks.revocation", []),
        (["browser", "--cuts", "3"], "benchmarks.browser", ["--cuts", "3"]),
    ],
)
def test_a_name_chooses_a_program_or_a_scenario(arguments: list[str], module: str, rest: list[str]) -> None:
    assert benchmark(arguments) == (module, rest)


def test_all_arguments_behind_bench_are_the_benchmark_s_own() -> None:
    options = manage._parse(["bench", "fanout", "--this-python", "--rounds", "3", "--help"])
    assert options.run is manage._bench
    assert options.this_python
    assert options.arguments == ["fanout", "--rounds", "3", "--help"]
