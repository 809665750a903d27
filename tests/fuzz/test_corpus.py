"""Every input that is kept is tried in every run of the tests: a finding that was mended stays mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.target import TARGETS, Check, Target, load

# Of all inputs of a target together: the corpus is for everybody's checkout.
MOST_BYTES = 300_000
ENTRIES = [(name, path) for name in TARGETS for path in corpus.entries(name)]


@pytest.fixture(scope="module")
def checks() -> Iterator[Mapping[str, Check]]:
    """The check of each target, opened once for all of its inputs."""
    with ExitStack() as opened:
        yield {name: opened.enter_context(load(name).opened()) for name in TARGETS}


@pytest.mark.parametrize(("name", "path"), ENTRIES, ids=[f"{name}-{path.name}" for name, path in ENTRIES])
def test_an_input_that_is_kept(name: str, path: Path, checks: Mapping[str, Check]) -> None:
    checks[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_is_small_and_has_the_seeds_of_its_target(name: str) -> None:
    target: Target = load(name)
    kept = {path.name: path.read_bytes() for path in corpus.entries(name)}
    for title, data in target.seeds().items():
        assert kept.get(f"seed-{title}") == data, f"python -m tests.fuzz {name} --seeds"
    assert sum(map(len, kept.values())) <= MOST_BYTES
    assert len(set(kept.values())) == len(kept), "two are alike"
    for title, data in kept.items():
        assert title.startswith(("seed-", "found-")) or title == corpus.name_of(data)


def test_each_folder_is_of_a_target() -> None:
    assert sorted(path.name for path in corpus.CORPUS.iterdir()) == sorted(TARGETS)
