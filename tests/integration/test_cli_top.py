"""`tidewire top` against three real services under a little load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

METRICS: dict[str, object] = {"metrics-port": 0}
DEADLINE_S = 60.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, auth=METRICS, session=METRICS, edge=METRICS)
    async with made:
        yield made


def targets(gateway: Gateway) -> list[str]:
    processes = (gateway.edge, gateway.session, gateway.auth)
    return [f"127.0.0.1:{process.facts['metrics_port']}" for process in processes]


@contextlib.asynccontextmanager
async def load(gateway: Gateway) -> AsyncIterator[None]:
    """Publish to two members, one message after the other."""
    async with Clients(Target.of(gateway)) as clients:
        channel = new_name("room")
        one, other = await clients.member(channel), await clients.member(channel)
        talking = asyncio.create_task(talk(one, channel))
        listening = asyncio.create_task(listen(other))
        try:
            yield
        finally:
            for task in (talking, listening):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def talk(client: ProtocolClient, channel: str) -> None:
    while True:
        await client.publish(channel, "hello")
        await client.take("chat_message")


async def listen(client: ProtocolClient) -> None:
    while True:
        await client.take("chat_message")


async def test_figures_of_services_under_load(gateway: Gateway) -> None:
    cli = Cli({})
    found: dict[str, Any] = {}

    async def all_measured() -> bool:
        """Whether an interval had all that is rare in it, too: a canary, a look at the loop, a call."""
        result = await cli("top", *targets(gateway), "--once", "--json", "--interval", "2")
        assert (result.code, result.err) == (0, "")
        processes = result.json()["processes"]
        assert [process["problem"] for process in processes] == [None] * 3
        found.update({process["figures"]["service"]: process["figures"] for process in processes})
        times = [found[name]["loop_lag"] for name in found]
        return None not in [*times, found["session"]["rpc"] or True, found["edge"]["canary"]]

    async with load(gateway):
        await eventually(all_measured, DEADLINE_S, "every figure was measured")
    edge, session, auth = found["edge"], found["session"], found["auth"]
    assert (edge["ready"], edge["connections"]) == (True, 2)
    assert edge["frames_in_per_s"] > 0
    assert edge["bytes_out_per_s"] > edge["bytes_in_per_s"] > 0
    assert edge["deliveries_per_s"] == pytest.approx(2 * edge["frames_in_per_s"], rel=0.5)
    assert 0 < edge["flush"]["p50_ms"] <= edge["flush"]["p99_ms"]
    assert (edge["slow_consumers"], edge["gaps"]) == (0, 0)
    assert (session["connections"], session["gaps"]) == (1, 0)
    assert session["frames_in_per_s"] > 0
    assert 0 < session["commit"]["p50_ms"] <= session["commit"]["p99_ms"]
    assert auth["connections"] == 2
    assert auth["frames_in_per_s"] is None


async def test_people_are_shown_a_table(gateway: Gateway) -> None:
    result = await Cli({"TIDEWIRE_TOP_TARGETS": " ".join(targets(gateway))})("top", "--once", "--interval", "0.2")
    assert result.code == 0
    heading, state, *_ = result.out.splitlines()
    assert [f"{name} 127.0.0.1:" in heading for name in ("edge", "session", "auth")] == [True] * 3
    assert state.split() == ["state", "ready", "ready", "ready"]


async def test_a_process_that_goes_and_comes_back_is_told_of(gateway: Gateway) -> None:
    metrics_port = gateway.auth.facts["metrics_port"]
    async with Cli({}).running("top", f"127.0.0.1:{metrics_port}", "--json", "--interval", "0.2") as top:
        assert (await next_process(top))["problem"] is None
        gateway.auth.kill9()

        async def told() -> bool:
            return (await next_process(top))["problem"] == "cannot be reached"

        await eventually(told, what="it is told that nobody is there")
        top.process.send_signal(signal.SIGINT)
        assert (await top.end()).code == 130
    await asyncio.to_thread(gateway.auth.start)


async def next_process(top: Any) -> Any:
    (process,) = json.loads(await top.line())["processes"]
    return process


async def test_once_and_nobody_there_is_a_failure() -> None:
    result = await Cli({})("top", f"127.0.0.1:{free_port()}", "--once", "--interval", "0.1")
    assert result.code == 3
    assert "cannot be reached" in result.err
    assert "metrics_port" in result.err


async def test_what_is_no_target_is_wrong_usage() -> None:
    result = await Cli({})("top", "edge", "--once")
    assert result.code == 2
    assert "names no port" in result.err


async def test_a_terminal_is_shown_what_goes_on(gateway: Gateway) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidewire_client.cli", "top", *targets(gateway), "--interval", "0.2"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")]), "TERM": "xterm"},
        stdin=DEVNULL,
        stdout=theirs,
        stderr=PIPE,
    )
    os.close(theirs)
    try:
        shown = await asyncio.to_thread(read_until, ours, "loop lag")
        assert "deliveries /s" in shown
        process.send_signal(signal.SIGINT)
        reading = asyncio.create_task(asyncio.to_thread(read_until, ours, None))
        async with asyncio.timeout(DEADLINE_S):
            _, err = await process.communicate()
            await reading
        assert (process.returncode, err) == (130, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def read_until(terminal: int, words: str | None) -> str:
    """Read what is written to a terminal until words came, or to its end."""
    text = ""
    while words is None or words not in text:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # nobody has the other end any more
            return text
        if not data:
            return text
        text += data.decode(errors="replace")
    return text
