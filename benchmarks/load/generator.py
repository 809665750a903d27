"""Drives the generator: one process that holds many clients."""

from __future__ import annotations

import json
import selectors
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.counts import Opening, Run
from benchmarks.load.plan import Client, Publisher
from benchmarks.load.program import program

# More than the generator's own deadline, after which it must have answered.
_ANSWER_MARGIN_S: Final = 30.0
# A message to so many members takes long enough that nobody misses the time in which deliveries gather.
_MANY_MEMBERS: Final = 500
_GATHER_US: Final = 200


class Generator:
    """The generator's process; `with` ends it.

    Raises:
        BenchmarkError: it cannot be compiled or started.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen([str(program())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._process:
            pass

    def open(self, clients: Sequence[Client], *, parallel: int = 64, deadline_s: float = 60.0) -> Opening:
        """Open the clients and go through their handshakes; to be called once.

        Args:
            clients: Their order is their index.
            parallel: How many at once.
            deadline_s: For all together.

        Raises:
            BenchmarkError: not all are open in time.
        """
        lines = [client.command() for client in clients]
        opening = Opening.parse(self._ask([*lines, f"open {parallel} {deadline_s}"], deadline_s))
        if opening.failed:
            raise BenchmarkError(f"{opening.failed} of {len(clients)} connections not opened: {opening.failure}")
        return opening

    def run(self, publishers: Sequence[Publisher], *, deadline_s: float = 60.0, settle_ms: int = 100) -> Run:
        """Send all messages, and wait until all that is expected has come.

        Args:
            publishers: Who sends what to whom.
            deadline_s: For all of it.
            settle_ms: How long to listen on for what comes twice.
        """
        lines = [line for index, publisher in enumerate(publishers) for line in publisher.commands(index)]
        answer = self._ask([*lines, f"run {deadline_s} {settle_ms} {gather_us(publishers)}"], deadline_s)
        return Run.parse(answer, sum(publisher.count for publisher in publishers if publisher.confirmed))

    def close(self) -> None:
        """Close all connections."""
        self._ask(["close"], 0.0)

    def _ask(self, lines: Sequence[str], deadline_s: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BenchmarkError("the load generator has no pipes")
        try:
            stdin.write("".join(f"{line}\n" for line in lines).encode())
            stdin.flush()
        except BrokenPipeError:
            raise BenchmarkError("the load generator ended; it says above why") from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(deadline_s + _ANSWER_MARGIN_S):
                raise BenchmarkError("the load generator does not answer")
        answer = stdout.readline()
        if not answer:
            raise BenchmarkError("the load generator ended; it says above why")
        return dict(json.loads(answer))


def gather_us(publishers: Sequence[Publisher]) -> int:
    """Return how long the generator lets deliveries gather before it reads them, in microseconds; 0: not at all.

    Read one by one, each delivery wakes the generator, and costs it more than the server. Where time is what is measured, or
    a message has few members, it reads at once.
    """
    wide = all(not publisher.rate and len(publisher.members) >= _MANY_MEMBERS for publisher in publishers)
    return _GATHER_US if wide else 0
