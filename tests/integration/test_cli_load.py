"""`tidewire load` as a process of its own, against real services: each scenario, what it finds, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.authority import Authority, Identity
from tests.support.cli import Cli, Result, cli_for
from tests.support.commands import all_pids, parent_of, runs
from tests.support.key_admin import MadeKey
from tests.support.message_proxy import Fault, MessageProxy
from tests.support.processes import ServiceProcess
from tests.support.services import Gateway
from tests.support.waiting import eventually
from tidewire_client.load.report.words import number_words

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ONE = ("--workers", "1", "--warm-up", "0")
# Buffers fill soon, and no connection is held up for what it sends.
SMALL_OUTBOX: dict[str, object] = {"max-outbox-bytes": 65_536, "bytes-per-second": 0, "frames-per-second": 0}
MESSAGE = (b'"chat_message"', b'"offset"', b"@tw-")
CONFIRMATION = (b'"message_delivered"', b'"original_type":"chat_message"')


@pytest.fixture
def cli(shared_gateway: Gateway) -> Cli:
    return cli_for(shared_gateway)


@pytest.fixture
def make_key(shared_gateway: Gateway) -> Callable[..., MadeKey]:
    return shared_gateway.key_admin().create


@pytest.fixture
async def own_gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose edge may be killed, and that soon has enough of those who do not read."""
    made = Gateway(tmp_path, edge=SMALL_OUTBOX)
    async with made:
        yield made


@pytest.fixture
async def tls_edge(shared_gateway: Gateway, tmp_path: Path) -> AsyncIterator[tuple[str, Identity]]:
    """An edge that speaks WSS, by its URL, and its certificate."""
    identity = Authority().identity(tmp_path / "tls", "public")
    flags = {
        "auth-target": shared_gateway.auth.address,
        "session-target": shared_gateway.session.address,
        "public-tls-cert-file": identity.cert,
        "public-tls-key-file": identity.key,
    }
    variables = {"TIDEWIRE_MODE": "development", "TIDEWIRE_SERVICE_TOKEN": shared_gateway.service_token}
    edge = ServiceProcess("ws_edge", tmp_path, flags, variables)
    trusted = ssl.create_default_context(cafile=str(identity.ca))
    try:
        await asyncio.to_thread(edge.start)
        url = f"https://localhost:{edge.port}"
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                async with session.get(f"{url}/ready", ssl=trusted) as response:
                    return response.status == 200

            await eventually(ready, what="the edge is ready")
        yield url, identity
        assert await asyncio.to_thread(edge.stop) == 0
    finally:
        if edge.running:
            edge.kill9()


async def load(cli: Cli, file: Path, *arguments: str, code: int = 0) -> tuple[Any, Result]:
    """Run it; return what it wrote for programs, and how it ended."""
    result = await cli("load", *arguments, "--json", str(file))
    assert result.code == code, f"{result.code}\n{result.out}\n{result.err}"
    return written(file), result


def written(file: Path) -> Any:
    return json.loads(file.read_text())


def assert_right(record: Any) -> None:
    """Every client got each message once and in order, and nothing else went wrong."""
    figures = record["figures"]
    assert record["right"]
    assert figures["expected"] == figures["received"] > 0
    for name in ("missing", "duplicated", "out_of_order", "failed"):
        assert figures[name] == 0, f"{name}: {figures[name]}"
    assert sum(client["expected"] for client in record["clients"]) == figures["expected"]


def assert_rising(figures: Any, *names: str) -> None:
    values = [figures[name] for name in names]
    assert None not in values, dict(zip(names, values, strict=True))
    assert values[0] > 0
    assert values == sorted(values)


# Scenarios


async def test_echo_is_reported_in_every_form(cli: Cli, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    arguments = ("echo", "--clients", "3", "--rate", "30", "--duration", "2s", "--html", str(html), *ONE)
    record, result = await load(cli, tmp_path / "r.json", *arguments, "--fail-if", "p99_ms>60000")
    assert_right(record)
    figures = record["figures"]
    assert figures["sent"] == figures["confirmed"] == figures["expected"] == 60
    assert figures["sent_per_s"] == pytest.approx(30, rel=0.05)
    assert_rising(figures, "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms")
    assert_rising(figures, "confirm_p50_ms", "confirm_p99_ms")
    assert 0 < figures["load_cpu_percent"] < 200
    assert [len(client["client_id"].split("-")) for client in record["clients"]] == [3, 3, 3]
    assert sum(point["delivered_per_s"] for point in record["timeline"]) == pytest.approx(60)
    assert "Each of 3 clients got each message once and in order: 60 in all." in result.out
    assert re.search(rf"^p99_ms +{re.escape(number_words(figures['p99_ms']))} ms ", result.out, re.MULTILINE)
    page = html.read_text()
    assert page.count("<svg") >= 2
    assert "once and in order: 60 in all" in page


async def test_fanout_over_two_processes(cli: Cli, tmp_path: Path) -> None:
    arguments = ("--members", "9", "--publishers", "2", "--rate", "20", "--duration", "1s", "--warm-up", "0.5")
    record, _ = await load(cli, tmp_path / "r.json", "fanout", *arguments, "--workers", "2")
    assert_right(record)
    figures = record["figures"]
    assert figures["sent"] == 30
    assert figures["expected"] == 9 * 30
    assert record["histograms"]["latency"]["count"] == 9 * 20, "the warm-up is counted, and not measured"
    assert len(record["load_processes"]) == 2


async def test_rooms(cli: Cli, tmp_path: Path) -> None:
    arguments = ("--rooms", "6", "--members", "3", "--rate", "5", "--duration", "1s", *ONE)
    record, _ = await load(cli, tmp_path / "r.json", "rooms", *arguments)
    assert_right(record)
    assert record["figures"]["sent"] == 6 * 5
    assert {client["expected"] for client in record["clients"]} == {5}
    assert len(record["clients"]) == 18


async def test_connect_and_storm(cli: Cli, tmp_path: Path) -> None:
    record, result = await load(
        cli, tmp_path / "r.json", "connect", "--clients", "40", "--rate", "100", "--workers", "2"
    )
    figures = record["figures"]
    assert (figures["connected"], figures["failed"]) == (40, 0)
    assert 20 < figures["connects_per_s"] <= 110
    assert_rising(figures, "connect_p50_ms", "connect_p99_ms", "connect_max_ms")
    assert_rising(figures, "back_p50_ms", "back_p99_ms", "back_max_ms")
    assert figures["storm_s"] == pytest.approx(figures["back_max_ms"] / 1000, abs=0.1)
    assert record["histograms"]["coming back"]["count"] == 40
    assert "Every client was connected." in result.out


async def test_idle_connections_are_weighed(cli: Cli, shared_gateway: Gateway, tmp_path: Path) -> None:
    metrics = ("--metrics", shared_gateway.edge.address)
    record, _ = await load(
        cli,
        tmp_path / "r.json",
        "idle",
        "--clients",
        "30",
        "--hold",
        "1",
        "--channels",
        "2",
        "--workers",
        "1",
        *metrics,
    )
    figures = record["figures"]
    assert (figures["connected"], figures["dropped"], figures["failed"]) == (30, 0, 0)
    assert figures["memory_before_bytes"] > 10e6
    weight = (figures["memory_after_bytes"] - figures["memory_before_bytes"]) / 30
    assert figures["memory_per_connection_bytes"] == pytest.approx(weight)
    assert figures["services_cpu_percent"] is not None
    assert any(point["memory_bytes"] for point in record["timeline"])


async def test_presence_storm(cli: Cli, tmp_path: Path) -> None:
    arguments = ("presence-storm", "--members", "15", "--watchers", "3", "--rounds", "2", "--workers", "2")
    record, _ = await load(cli, tmp_path / "r.json", *arguments)
    assert_right(record)
    assert record["figures"]["expected"] == 15 * 3 * 2 * 2
    assert_rising(record["figures"], "p50_ms", "p99_ms")
    assert record["figures"]["round_s"] > 0


async def test_slow_readers_are_let_go_and_the_others_get_all(own_gateway: Gateway, tmp_path: Path) -> None:
    arguments = ("--members", "4", "--slow", "2", "--rate", "100", "--size", "40000", "--duration", "2s", *ONE)
    record, result = await load(
        cli_for(own_gateway), tmp_path / "r.json", "slow", *arguments, "--metrics", own_gateway.edge.address
    )
    assert_right(record)
    figures = record["figures"]
    assert (figures["slow_let_go"], figures["slow_consumers"], figures["slow_missing"]) == (2, 2, 0)
    assert figures["p99_ratio"] == pytest.approx(figures["p99_ms"] / figures["before_p99_ms"])
    assert figures["dropped"] == 0, "these are no connections that anybody misses"
    assert "Of the clients that stopped to read: 2 " in result.out


async def test_soak_with_clients_that_come_and_go(cli: Cli, shared_gateway: Gateway, tmp_path: Path) -> None:
    arguments = ("--rooms", "2", "--members", "3", "--rate", "20", "--churn", "5", "--duration", "4s", "--warm-up", "0")
    more = ("--interval", "0.3", "--workers", "1", "--metrics", shared_gateway.edge.address)
    record, _ = await load(cli, tmp_path / "r.json", "soak", *arguments, *more)
    assert_right(record)
    figures = record["figures"]
    assert figures["reconnected"] == pytest.approx(20, abs=2)
    assert_rising(figures, "back_p50_ms", "back_p99_ms")
    for name in ("memory_growth_percent", "p50_growth_percent", "p99_growth_percent"):
        assert figures[name] is not None


async def test_clients_come_back_after_a_crash_of_the_edge_and_miss_nothing(
    own_gateway: Gateway, tmp_path: Path
) -> None:
    arguments = (
        "fanout",
        "--members",
        "5",
        "--rate",
        "20",
        "--duration",
        "5s",
        *ONE,
        "--json",
        str(tmp_path / "r.json"),
    )
    async with cli_for(own_gateway).running("load", *arguments) as running:
        await running.said("sending")
        await asyncio.to_thread(own_gateway.edge.restart_after_kill9)
        result = await running.end()
    record = written(tmp_path / "r.json")
    assert result.code == 0, f"{result.out}\n{result.err}"
    assert_right(record)
    figures = record["figures"]
    assert figures["dropped"] == 5
    assert figures["confirmed"] <= figures["sent"]
    assert any(reason.startswith("dropped: ") for reason in record["reasons"])


# What goes wrong is found


WRONGED = ("fanout", "--members", "2", "--rate", "30", "--duration", "1s", "--timeout", "2", *ONE)


async def test_messages_that_are_lost_or_doubled_or_late_are_found(
    cli: Cli, shared_gateway: Gateway, tmp_path: Path
) -> None:
    faults = {10: Fault.SWALLOW, 20: Fault.DOUBLE, 30: Fault.SWAP}
    async with MessageProxy(shared_gateway.edge.address, MESSAGE, faults) as proxy:
        record, result = await load(cli.but(url=f"http://{proxy.address}"), tmp_path / "r.json", *WRONGED, code=7)
        assert proxy.done
    assert not record["right"]
    figures = record["figures"]
    assert (figures["expected"], figures["received"]) == (60, 59)
    names = ("missing", "duplicated", "out_of_order")
    assert {name: figures[name] for name in names} == dict.fromkeys(names, 1)
    assert (figures["unanswered"], record["confirmed_twice"]) == (0, 0)
    wronged = [client["client_id"] for client in record["clients"] if any(client[name] for name in names)]
    assert wronged
    assert all(client_id in result.out for client_id in wronged)
    words = "clients did not get each message once and in order: 1 missing, 1 twice, 1 out of order."
    assert result.out.splitlines()[-1] == f"{len(wronged)} of 2 {words}"


async def test_confirmations_that_are_lost_or_doubled_are_found(
    cli: Cli, shared_gateway: Gateway, tmp_path: Path
) -> None:
    faults = {10: Fault.SWALLOW, 20: Fault.DOUBLE}
    async with MessageProxy(shared_gateway.edge.address, CONFIRMATION, faults) as proxy:
        record, result = await load(cli.but(url=f"http://{proxy.address}"), tmp_path / "r.json", *WRONGED, code=7)
        assert proxy.done
    assert not record["right"]
    figures = record["figures"]
    assert (figures["expected"], figures["received"], figures["unanswered"], figures["confirmed"]) == (60, 60, 1, 29)
    assert record["confirmed_twice"] == 1
    last = "Messages that were neither confirmed nor refused: 1; that were confirmed twice: 1."
    assert result.out.splitlines()[-1] == last


async def test_thresholds_and_comparison(cli: Cli, tmp_path: Path) -> None:
    arguments = ("echo", "--clients", "2", "--rate", "20", "--duration", "1s", *ONE)
    first, _ = await load(cli, tmp_path / "old.json", *arguments)
    compared = ("--compare", str(tmp_path / "old.json"), "--fail-if", "p99_ms>0", "--fail-if", "missing>0")
    second, result = await load(cli, tmp_path / "new.json", *arguments, *compared, code=6)
    (words,) = second["broken_thresholds"]
    assert words.startswith("p99_ms>0: it is ")
    assert f"threshold broken: {words}" in result.out
    ratio = second["figures"]["p99_ms"] / first["figures"]["p99_ms"]
    (line,) = [
        line for line in result.out.splitlines() if line.startswith("p99_ms ") and "x" in line and "took" not in line
    ]
    assert f"{ratio:.2f}x" in line
    assert "had other options" not in result.out


async def test_what_a_key_may_not_do_is_told_before_there_is_load(cli: Cli, make_key: Callable[..., MadeKey]) -> None:
    wrong = await cli.but(api_key="tw_test_nosuch_key")("load", "idle")
    assert wrong.code == 4
    assert "Invalid API key" in wrong.err
    key = make_key(["join:*"]).api_key
    lacking = await cli.but(api_key=key)("load", "echo")
    assert lacking.code == 4
    assert "publish" in lacking.err
    assert key not in lacking.out + lacking.err


async def test_a_key_is_nowhere_to_be_seen(cli: Cli, make_key: Callable[..., MadeKey], tmp_path: Path) -> None:
    key = make_key(["join:load-*", "publish:load-*"]).api_key
    html = tmp_path / "r.html"
    arguments = ("echo", "--clients", "2", "--rate", "10", "--duration", "2s", *ONE, "--html", str(html))
    async with cli.but(api_key=key).running("load", *arguments, "--json", str(tmp_path / "r.json")) as running:
        await running.said("sending")
        pids = [running.process.pid, *children(running.process.pid)]
        assert len(pids) > 1
        for pid in pids:
            assert key.encode() not in command_line(pid)
        result = await running.end()
    assert result.code == 0, result.err
    for text in (result.out, result.err, html.read_text(), (tmp_path / "r.json").read_text()):
        assert key not in text
        assert key.rpartition("_")[2] not in text


async def test_more_than_the_edge_allows_is_refused(cli: Cli) -> None:
    result = await cli("load", "fanout", "--rate", "500")
    assert result.code == 2
    assert "would send 500 messages a second, and the edge takes 200 of it: use more --publishers" in result.err


async def test_refused_messages_are_no_loss(cli: Cli, make_key: Callable[..., MadeKey], tmp_path: Path) -> None:
    key = make_key(["*:*"], key_frames_per_second=40).api_key
    arguments = ("echo", "--clients", "4", "--rate", "100", "--duration", "2s", *ONE)
    record, result = await load(cli.but(api_key=key), tmp_path / "r.json", *arguments)
    assert_right(record)
    figures = record["figures"]
    assert figures["refused"] > 10
    assert figures["sent"] == figures["confirmed"] + figures["refused"]
    assert record["reasons"]["refused: rate_limited"] == figures["refused"]
    assert "messages were refused" in result.out


# How it ends


async def test_ctrl_c_ends_with_a_report(cli: Cli, tmp_path: Path) -> None:
    arguments = ("--clients", "2", "--rate", "50", "--duration", "60s", "--workers", "1", "--warm-up", "0.5")
    async with cli.running("load", "echo", *arguments, "--json", str(tmp_path / "r.json")) as running:
        await running.said("sending")
        processes = children(running.process.pid)
        # As a terminal does it: everybody is told.
        for pid in [*processes, running.process.pid]:
            os.kill(pid, signal.SIGINT)
        result = await running.end()
    assert result.code == 130, f"{result.out}\n{result.err}"
    assert "Traceback" not in result.err
    record = written(tmp_path / "r.json")
    assert record["interrupted"]
    assert_right(record)
    assert record["seconds"] < 50
    assert "ended early" in result.out

    async def all_gone() -> bool:
        return not any(runs(pid) for pid in processes)

    await eventually(all_gone, what="no load process is left")


async def test_the_second_signal_ends_it_at_once_though_a_load_process_hangs(cli: Cli) -> None:
    async with cli.running("load", "echo", "--duration", "60s", *ONE) as running:
        await running.said("sending")
        (worker,) = [pid for pid in children(running.process.pid) if b"spawn_main" in command_line(pid)]
        os.kill(worker, signal.SIGSTOP)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(running.process.pid, number)
        result = await running.end()
    assert result.code == 130, f"{result.out}\n{result.err}"
    assert "Traceback" not in result.err
    assert not runs(worker)


async def test_a_load_process_that_dies_is_told_of(cli: Cli) -> None:
    async with cli.running("load", "echo", "--duration", "60s", *ONE) as running:
        await running.said("sending")
        (worker,) = [pid for pid in children(running.process.pid) if b"spawn_main" in command_line(pid)]
        os.kill(worker, signal.SIGKILL)
        result = await running.end()
    assert result.code == 1
    assert "load process 1 ended before its work was done" in result.err
    assert "Traceback" not in result.err


async def test_over_tls(cli: Cli, tls_edge: tuple[str, Identity], tmp_path: Path) -> None:
    url, identity = tls_edge
    cli = cli.but(url=url)
    arguments = ("echo", "--clients", "2", "--rate", "20", "--duration", "1s", *ONE, "--tls-ca-file", str(identity.ca))
    record, _ = await load(cli, tmp_path / "r.json", *arguments)
    assert_right(record)
    strange = await cli("load", "connect", "--clients", "1")
    assert strange.code == 1
    assert "no TLS connection" in strange.err


def children(pid: int) -> list[int]:
    return [child for child in all_pids() if parent_of(child) == pid]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
