"""A run beside an older one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.tidewire_client.load.results import result
from tidewire_client.load.compare import OldRun, compare, differences


def old_run(tmp_path: Path, **figures: float | None) -> OldRun:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(result(figures=figures).record()))
    return OldRun.read(file, "echo")


def test_ratios_of_what_both_have(tmp_path: Path) -> None:
    old = old_run(tmp_path, p99_ms=8.5, sent_per_s=100.0, missing=0, p50_ms=None, confirm_p50_ms=1.0)
    found = compare(old, result(figures={"p99_ms": 4.25, "sent_per_s": 50.0, "missing": 0, "p50_ms": 2.0}))
    by_name = {each.figure.name: (each.before, each.now, each.ratio, each.better) for each in found}
    assert by_name == {
        "missing": (0, 0, None, None),
        "sent_per_s": (100.0, 50.0, 0.5, False),
        "p99_ms": (8.5, 4.25, 0.5, True),
    }


@pytest.mark.parametrize(("now", "better"), [(10.5, None), (9.5, None), (12.0, False), (8.0, True)])
def test_a_tenth_is_no_difference(tmp_path: Path, now: float, better: bool | None) -> None:
    (found,) = compare(old_run(tmp_path, p99_ms=10.0), result(figures={"p99_ms": now}))
    assert found.better is better


def test_options_that_differ_are_told(tmp_path: Path) -> None:
    old = old_run(tmp_path, p99_ms=1.0)
    assert differences(old, {"rate": 100.0, "size": 100}) == []
    assert differences(old, {"rate": 200.0, "size": 100}) == ["rate: 100.0 then, 200.0 now"]
    assert differences(old, {"rate": 100.0}) == ["size: 100 then, None now"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[1]", "is not the result of a run"),
        ("{}", "is not the result of a run"),
        ('{"tidewire_load": 99}', "of another version"),
        ('{"tidewire_load": 1, "scenario": "idle"}', "of the scenario idle, not echo"),
        ('{"tidewire_load": 1, "scenario": "echo"}', "lacks figures"),
        ("\udce4", "is no JSON"),
    ],
)
def test_what_is_no_older_run_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=words):
        OldRun.read(file, "echo")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"old\.json cannot be read"):
        OldRun.read(tmp_path / "old.json", "echo")
