"""A load process: takes commands from a pipe, does them one after the other, and says twice a second how it does."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import signal
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, Final

from tidewire_client.load import usage
from tidewire_client.load.environment import Environment
from tidewire_client.load.phases import Phases
from tidewire_client.load.plan import Answer, Command, Done, Failed, Interrupt, Open, Stop, Target, Tick

TICK_S: Final = 0.5


def main(pipe: Connection, target: Target) -> None:
    """Run until the command says stop, or is gone.

    Args:
        pipe: Commands come by it, answers and ticks go.
        target: Where the load goes.
    """
    # Ctrl-C reaches every process of a terminal; the command decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    usage.raise_descriptor_limit()
    try:
        _runner()(_serve(pipe, target))
    except (BrokenPipeError, ConnectionResetError):  # The command is gone.
        return


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.run
    import uvloop  # It is not on every system.

    return uvloop.run


async def _serve(pipe: Connection, target: Target) -> None:
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[Command | None] = asyncio.Queue()
    try:
        env = Environment(target)
    except OSError as exc:
        pipe.send(Failed(f"certificates cannot be used: {exc.strerror or exc.__class__.__name__}"))
        return

    def readable() -> None:
        try:
            while pipe.poll():
                command = pipe.recv()
                if isinstance(command, Interrupt):
                    env.interrupted.set()
                else:
                    commands.put_nowait(command)
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            env.interrupted.set()
            commands.put_nowait(None)

    loop.add_reader(pipe.fileno(), readable)
    pipe.send(Done())
    ticking = asyncio.create_task(_tick(pipe, env))
    try:
        await _work(pipe, env, commands)
    finally:
        ticking.cancel()
        loop.remove_reader(pipe.fileno())


async def _work(pipe: Connection, env: Environment, commands: asyncio.Queue[Command | None]) -> None:
    phases = Phases(env)
    while (command := await commands.get()) is not None:
        _report(pipe, env)
        answer: Answer
        try:
            answer = await phases.do(command)
        except Exception as exc:
            # A defect of the load itself: its process says so, and the run ends.
            answer = Failed(f"{exc.__class__.__name__}: {exc}")
        if isinstance(command, Open):
            # What is there now stays: it is no garbage, and looking at it again and again is a load of its own.
            gc.collect()
            gc.freeze()
        _report(pipe, env)
        pipe.send(answer)
        if isinstance(command, Stop):
            return
    await phases.do(Stop())


async def _tick(pipe: Connection, env: Environment) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        _report(pipe, env)


def _report(pipe: Connection, env: Environment) -> None:
    latency, back = env.take_tick()
    # The pipe takes a copy: it is pickled here and now.
    pipe.send(Tick(time.monotonic(), usage.cpu_s(), usage.resident_bytes(), env.counters, latency, back))
