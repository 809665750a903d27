"""The load processes as the command sees them: started, asked, heard, interrupted, stopped."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self, TypeVar

from tidewire_client.load import worker
from tidewire_client.load.plan import Answer, Command, Done, Failed, Interrupt, Stop, Target, Tick

A = TypeVar("A", bound=Answer)
_STOP_DEADLINE_S: Final = 10.0


class LoadProcessFailed(Exception):
    """A load process ended, or says that it cannot go on; the text says which and why."""


class Fleet:
    """Several load processes; `async with` starts and ends them.

    Args:
        target: Where the load goes.
        size: How many.

    Attributes:
        on_tick: Told how each does: its number, and what it said.
    """

    def __init__(self, target: Target, size: int) -> None:
        self.on_tick: Callable[[int, Tick], None] = _ignore
        self._target = target
        self._size = size
        self._members: list[_Member] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return self._size

    async def __aenter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        # A process that is hit by Ctrl-C before it can decide about it would end with a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for number in range(self._size):
                here, there = context.Pipe()
                process = context.Process(target=worker.main, args=(there, self._target), daemon=True)
                process.start()
                there.close()
                self._members.append(_Member(number, process, here, self._told))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            # What is due is due when all can do it.
            await asyncio.gather(*(member.ready() for member in self._members))
        except BaseException:
            await self._end(at_once=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.ask([Stop()] * self._size, Done)
        await self._end(at_once=kind is not None)

    async def _end(self, *, at_once: bool) -> None:
        await asyncio.gather(*(asyncio.to_thread(member.end, at_once=at_once) for member in self._members))
        for member in self._members:
            member.close()

    async def ask(self, commands: Sequence[Command], kind: type[A]) -> list[A]:
        """Give each process its command, and return their answers.

        Args:
            commands: One for each.
            kind: Of the answers.

        Raises:
            LoadProcessFailed: One ended, or could not do it.
        """
        asked = [member.ask(command) for member, command in zip(self._members, commands, strict=True)]
        answers = await asyncio.gather(*asked)
        found: list[A] = [answer for answer in answers if isinstance(answer, kind)]
        if len(found) != len(answers):
            raise LoadProcessFailed("a load process gave another answer than it was asked for")
        return found

    def _told(self, number: int, tick: Tick) -> None:
        self.on_tick(number, tick)

    def interrupt(self) -> None:
        """Have them all come to an end with what they do."""
        for member in self._members:
            member.tell(Interrupt())


def _ignore(number: int, tick: Tick) -> None:
    """Nobody wants to know."""


class _Member:
    """One load process."""

    def __init__(
        self, number: int, process: BaseProcess, pipe: Connection, on_tick: Callable[[int, Tick], None]
    ) -> None:
        self._number = number
        self._process = process
        self._pipe = pipe
        self._on_tick = on_tick
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()
        self._gone = False
        self._loop.add_reader(pipe.fileno(), self._readable)

    async def ready(self) -> None:
        """Return when it can be asked; that it can is the first that it says."""
        await self._answer

    async def ask(self, command: Command) -> Answer:
        self._answer = self._loop.create_future()
        if self._gone:
            self._fail()
        else:
            self.tell(command)
        return await self._answer

    def tell(self, message: Command | Interrupt) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            self._lost()

    def end(self, *, at_once: bool) -> None:
        """Wait until the process has ended; one that does not is killed."""
        if at_once:
            self._process.terminate()
        self._process.join(_STOP_DEADLINE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def close(self) -> None:
        """Let go of what belongs to it; it has ended."""
        if not self._gone:
            self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        self._process.close()

    def _readable(self) -> None:
        try:
            while self._pipe.poll():
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._lost()

    def _take(self, message: Answer | Tick) -> None:
        if isinstance(message, Tick):
            self._on_tick(self._number, message)
        elif not self._answer.done():
            if isinstance(message, Failed):
                self._answer.set_exception(LoadProcessFailed(f"load process {self._number + 1}: {message.words}"))
            else:
                self._answer.set_result(message)

    def _lost(self) -> None:
        if not self._gone:
            self._gone = True
            self._loop.remove_reader(self._pipe.fileno())
        self._fail()

    def _fail(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(
                LoadProcessFailed(f"load process {self._number + 1} ended before its work was done")
            )
