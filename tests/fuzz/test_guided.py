"""A short guided run of each target; `python -m tests.fuzz --all --seconds 3600` is the long one."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

import pytest

from tests.fuzz import campaign, corpus
from tests.fuzz.target import PLANTED, TARGETS, load
from tests.support.requirements import skip_uninstallable, skip_without

# As pyproject.toml has it: there are no builds of atheris for others.
SUPPORTED = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
SECONDS = 5
# So many at the least, on the slowest machine: a run that tried next to nothing shows nothing.
LEAST_INPUTS = 20


def needs_atheris() -> None:
    """Skip the test where it cannot be had, and fail where it can and is missing on CI."""
    if not SUPPORTED:
        skip_uninstallable("atheris", "there are no builds for this machine, or this Python")
    if importlib.util.find_spec("atheris") is None:
        skip_without("atheris")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str) -> None:
    needs_atheris()
    report = campaign.run(name, load(name), SECONDS)
    assert report.finding is None, f"{report.line}\n{report.output[-6000:]}"
    assert report.inputs >= max(LEAST_INPUTS, len(corpus.entries(name)))
    assert report.branches > 0, "nothing of the product is instrumented"


@pytest.mark.timeout(300)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needs_atheris()
    monkeypatch.setattr(corpus, "CORPUS", tmp_path)
    target = load(PLANTED)
    corpus.write_seeds(PLANTED, target)
    report = campaign.run(PLANTED, target, 60, seed=1)
    assert report.finding is not None
    assert report.finding.startswith(b"broadcast:")
    assert "the planted fault" in report.output
