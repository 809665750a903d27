"""Questions that every session service answers for its own edges, over pub/sub; the answers are added up.

A service that stays silent is asked again. Asking twice does nothing twice: who has answered a question answers it with the
same count again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from service_runtime.logs import get_logger
from session_service.adapters.cluster_redis.words import (
    Answer,
    Farewell,
    Hello,
    MalformedWords,
    Question,
    Words,
    decode_answer,
    decode_question,
    encode,
)
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes, Reply
from session_service.core.errors import LimitExceeded, SessionError

log = get_logger("session_service.cluster_redis")

ASK_AGAIN_S: Final = 0.25
DEADLINE_S: Final = 1.0
MAX_OPEN: Final = 1000
MAX_ANSWERED: Final = 10_000
MAX_ENDED: Final = 1000
DEAF_S: Final = 3.0
"""Whoever does not hear itself for so long is deaf."""

OnQuestion = Callable[[Question], int]


class Total(NamedTuple):
    """What the answers add up to, and how many services gave none."""

    found: int
    silent: int


class _Open:
    __slots__ = ("answers", "complete", "expected")

    def __init__(self, expected: frozenset[str]) -> None:
        self.expected = expected
        self.answers: dict[str, int] = {}
        self.complete = asyncio.Event()


class Questions:
    """Asks and answers.

    Args:
        process: Who we are.
        lanes: Where questions and answers are published.
        words: Names and commands.
        metrics: Counters.
        on_question: Returns our own answer to another's question.
    """

    def __init__(
        self, process: str, lanes: Lanes, words: Words, metrics: ClusterMetrics, on_question: OnQuestion
    ) -> None:
        self._process = process
        self._lanes = lanes
        self._words = words
        self._metrics = metrics
        self._on_question = on_question
        self._open: dict[str, _Open] = {}
        self._answered: OrderedDict[str, int] = OrderedDict()
        self._unheard_since_s: float | None = None
        self._ended: OrderedDict[str, None] = OrderedDict()

    @staticmethod
    def new_ref() -> str:
        """Return a ref that no question had."""
        return secrets.token_urlsafe(12)

    async def ask(self, question: Question, expected: frozenset[str]) -> Total:
        """Ask the other services.

        Args:
            question: With a ref of its own.
            expected: The processes that should answer; others may.

        Raises:
            LimitExceeded: too many questions are open.
        """
        expected -= self._ended.keys()
        if not expected:
            return Total(0, 0)
        if len(self._open) >= MAX_OPEN:
            self._metrics.refused.inc()
            raise LimitExceeded(f"{MAX_OPEN} questions to other session services")
        asked = self._open[question.ref] = _Open(expected)
        payload = encode(question)
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not asked.complete.is_set():
                    self._publish(self._words.questions, payload)
                    try:
                        async with asyncio.timeout(ASK_AGAIN_S):
                            await asked.complete.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            log.warning("a session service does not answer", silent=len(expected - asked.answers.keys()))
        finally:
            del self._open[question.ref]
        silent = len(expected - asked.answers.keys())
        self._metrics.silent.inc(silent)
        return Total(sum(asked.answers.values()), silent)

    def say_hello(self) -> bool:
        """Say a word to ourselves; return False if none was heard for long."""
        now_s = time.monotonic()
        is_deaf = self._unheard_since_s is not None and now_s > self._unheard_since_s + DEAF_S
        if is_deaf or self._unheard_since_s is None:
            self._unheard_since_s = now_s
        self._publish(self._words.questions, encode(Hello(self._process)))
        return not is_deaf

    def hear(self) -> None:
        """Note that questions are heard."""
        self._unheard_since_s = None

    async def say_farewell(self) -> None:
        """Tell the others that no answers come from here any more; raises SessionError."""
        await self._lanes.ask(self._words.publish(self._words.questions, encode(Farewell(self._process))))

    def on_question(self, payload: bytes) -> None:
        """Answer another service."""
        try:
            question: Question | Hello | Farewell = decode_question(payload)
        except MalformedWords:
            self._metrics.malformed.inc()
            return
        if question.process == self._process:
            self.hear()
        elif isinstance(question, Farewell):
            self._ended[question.process] = None
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
        elif not isinstance(question, Hello):
            self._answer_to(question)

    def _answer_to(self, question: Question) -> None:
        count = self._answered.get(question.ref)
        if count is None:
            count = self._answered[question.ref] = self._on_question(question)
            if len(self._answered) > MAX_ANSWERED:
                self._answered.popitem(last=False)
        answer = encode(Answer(question.ref, self._process, count))
        self._publish(self._words.answers(question.process), answer)

    def on_answer(self, payload: bytes) -> None:
        """Take an answer; one to a question that is over is late."""
        try:
            answer = decode_answer(payload)
        except MalformedWords:
            self._metrics.malformed.inc()
            return
        asked = self._open.get(answer.ref)
        if asked is not None:
            asked.answers[answer.process] = answer.count
            if asked.expected <= asked.answers.keys():
                asked.complete.set()

    def _publish(self, channel: str, payload: bytes) -> None:
        self._lanes.submit(self._words.publish(channel, payload), _ignore)


def _ignore(reply: Reply | SessionError) -> None:
    """What is not published is not answered, which is noticed."""
