"""The command `tidewire` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.processes import ROOT
from tests.support.protocol_client import new_name
from tests.support.services import Gateway

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def error(self) -> Any:
        return json.loads(self.err)["error"]


class Running:
    """A command that goes on."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Return the next line of stdout."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            return (await self.process.stdout.readline()).decode().removesuffix("\n")

    async def said(self, words: str) -> str:
        """Return the next line of stderr that holds these words."""
        assert self.process.stderr is not None
        async with asyncio.timeout(DEADLINE_S):
            while words not in (line := (await self.process.stderr.readline()).decode()):
                assert line, f"ended without saying {words!r}"
            return line

    async def end(self) -> Result:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Result(self.process.returncode, out.decode(), err.decode())


class Cli:
    """Runs `tidewire` with an environment of its own.

    Args:
        variables: Beside those that every process needs.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
        mine = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}
        self._environment = {**mine, "PYTHONPATH": path, **variables}

    def but(self, **variables: str) -> Cli:
        """Return one with other variables; `url="..."` is TIDEWIRE_URL."""
        return Cli({**self._environment, **{f"TIDEWIRE_{name.upper()}": value for name, value in variables.items()}})

    def without(self, *names: str) -> Cli:
        other = Cli({})
        other._environment = {k: v for k, v in self._environment.items() if k not in {f"TIDEWIRE_{n}" for n in names}}
        return other

    async def _start(self, arguments: tuple[str, ...], stdin: int = DEVNULL) -> Process:
        command = (sys.executable, "-X", "dev", "-m", "tidewire_client.cli", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, env=self._environment, stdin=stdin, stdout=PIPE, stderr=PIPE
        )

    async def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command to its end."""
        process = await self._start(arguments, DEVNULL if stdin is None else PIPE)
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Running]:
        """Run a command beside the test."""
        process = await self._start(arguments)
        try:
            yield Running(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    @asynccontextmanager
    async def listening(self, channel: str, *arguments: str) -> AsyncIterator[Running]:
        """Run `listen`; it has joined."""
        async with self.running("listen", channel, *arguments) as listen:
            await listen.said("listening to")
            yield listen


def cli_for(gateway: Gateway, **more: str) -> Cli:
    return Cli({}).but(
        url=f"http://{gateway.edge.address}",
        auth_target=gateway.auth.address,
        service_token=gateway.service_token,
        workspace=new_name("w"),
        client_id="ann",
        **more,
    )
