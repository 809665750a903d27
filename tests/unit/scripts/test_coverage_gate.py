"""The judgement over coverage."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.coverage_gate import Demand, judge


def summary(statements: int, covered: int, branches: int = 0, covered_branches: int = 0) -> dict[str, Any]:
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": covered,
            "num_branches": branches,
            "covered_branches": covered_branches,
        }
    }


GOOD = {"files": {"auth_service/core/keys.py": summary(10, 10, 4, 4), "auth_service/app.py": summary(10, 8)}}
BRANCH_MISSING = {
    "files": {"auth_service/core/keys.py": summary(10, 10, 4, 3), "auth_service/app.py": summary(100, 100)}
}
WHOLE_LOW = {"files": {"ws_edge/core/names.py": summary(10, 10), "ws_edge/app.py": summary(100, 80)}}


@pytest.mark.parametrize(
    ("report", "demand", "enough"),
    [
        (GOOD, Demand.EVERYTHING, True),
        (GOOD, Demand.CORES, True),
        (BRANCH_MISSING, Demand.EVERYTHING, False),
        (BRANCH_MISSING, Demand.CORES, False),
        (BRANCH_MISSING, Demand.NOTHING, True),
        (WHOLE_LOW, Demand.EVERYTHING, False),
        (WHOLE_LOW, Demand.CORES, True),
    ],
)
def test_cores_must_be_reached_wholly_and_the_rest_by_nine_tenths(
    report: dict[str, Any], demand: Demand, enough: bool
) -> None:
    assert judge(report, demand).enough is enough


def test_each_core_and_the_whole_have_a_line() -> None:
    report = {"files": {**GOOD["files"], **WHOLE_LOW["files"]}}
    lines = judge(report, Demand.EVERYTHING).lines
    assert [line.split(": ")[0] for line in lines] == [
        "coverage of auth_service/core",
        "coverage of ws_edge/core",
        "coverage of the whole",
    ]
    assert lines[0].endswith("ok")
    assert lines[2].endswith("TOO LOW")


def test_what_is_not_demanded_is_shown_only() -> None:
    assert judge(BRANCH_MISSING, Demand.NOTHING).lines[0].endswith("low, not judged here")


def test_almost_everything_is_not_everything() -> None:
    report = {"files": {"auth_service/core/keys.py": summary(100_000, 99_999)}}
    assert not judge(report, Demand.CORES).enough
