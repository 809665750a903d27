"""The cache of verdicts against an obvious model, over random orders of answers, changes and losses of the watch."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verdict_cache import VerdictCache

KEYS = ("a", "b", "c")
PLACES = ("here", "there")
NOW_S = 1_000.0
keys = st.sampled_from(KEYS)
questions = st.tuples(keys, st.sampled_from(PLACES))


@dataclass
class Service:
    """The auth service: each change of a key gets the next revision; answers and news are on their way for any time."""

    revision: int = 1
    changed_at: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[tuple[str, str], Verdict]] = field(default_factory=list)
    news: list[tuple[str, int]] = field(default_factory=list)


class CacheAgainstModel(RuleBasedStateMachine):
    """Knows everything that a watcher was told, and keeps every answer: no bound, no order, nothing clever."""

    @initialize(capacity=st.sampled_from([1, 2, 100]))
    def begin(self, capacity: int) -> None:
        self.capacity = capacity
        self.cache = VerdictCache(capacity)
        self.service = Service()
        self.seen: dict[str, int] = {}
        self.floor = 0
        self.kept: dict[tuple[str, str], Verdict] = {}

    def too_old(self, verdict: Verdict) -> bool:
        return verdict.revision < max(self.seen.get(verdict.key_id, 0), self.floor)

    @rule(question=questions)
    def ask(self, question: tuple[str, str]) -> None:
        """The service makes a verdict, which is on its way from now on."""
        verdict = Verdict(VerdictCode.VALID, question[0], cache_ttl_s=30.0, revision=self.service.revision)
        self.service.answers.append((question, verdict))

    @rule(key=keys)
    def change(self, key: str) -> None:
        """A key changes; the news is on its way from now on."""
        self.service.revision += 1
        self.service.changed_at[key] = self.service.revision
        self.service.news.append((key, self.service.revision))

    @rule(data=st.data())
    def answer_arrives(self, data: st.DataObject) -> None:
        if not self.service.answers:
            return
        question, verdict = self.service.answers.pop(data.draw(st.integers(0, len(self.service.answers) - 1)))
        kept = self.cache.put(question, verdict)
        if self.too_old(verdict):
            assert not kept
        elif self.capacity >= 100:
            assert kept
        if kept:
            self.kept[question] = verdict

    @rule()
    def news_arrives(self) -> None:
        """Changes are told in order."""
        if self.service.news:
            self.tell(*self.service.news.pop(0))

    @rule(data=st.data())
    def old_news_arrives_again(self, data: st.DataObject) -> None:
        """A stream that was opened anew tells again what was told before."""
        if self.seen:
            key = data.draw(st.sampled_from(sorted(self.seen)))
            self.tell(key, data.draw(st.integers(1, self.seen[key])))

    def tell(self, key: str, revision: int) -> None:
        self.cache.change(key, revision)
        self.seen[key] = max(revision, self.seen.get(key, 0))
        self.kept = {question: verdict for question, verdict in self.kept.items() if question[0] != key}

    @rule()
    def news_is_lost(self) -> None:
        """The watch was interrupted, and goes on at the present: what was on its way never comes."""
        self.service.news.clear()
        self.cache.begin_at(self.service.revision)
        self.floor = self.service.revision
        self.kept.clear()

    @invariant()
    def what_is_found_was_put_and_is_older_than_nothing_that_was_told(self) -> None:
        for question in [(key, place) for key in KEYS for place in PLACES]:
            found = self.cache.get(question, NOW_S)
            if found is not None:
                assert found is self.kept.get(question)
                assert not self.too_old(found)
            elif self.capacity >= 100:
                assert question not in self.kept

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.cache) <= self.capacity

    @invariant()
    def when_all_news_has_arrived_nothing_stale_is_found(self) -> None:
        if not self.service.news:
            for key in KEYS:
                for place in PLACES:
                    found = self.cache.get((key, place), NOW_S)
                    assert found is None or found.revision >= self.service.changed_at.get(key, 0)


TestCacheAgainstModel = CacheAgainstModel.TestCase
TestCacheAgainstModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
