"""The metrics of one process, as they are read."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.unit.tidewire_client.peers import unused_target
from tidewire_client.top import scrape as scrapes
from tidewire_client.top.scrape import Scrape, ScrapeFailed, metrics_url, scrape

TEXT = """\
# TYPE connections gauge
connections{state="a"} 2.0
connections{state="b"} 3.0
# TYPE seconds histogram
seconds_bucket{method="x",le="0.1"} 1.0
seconds_bucket{method="x",le="+Inf"} 2.0
seconds_bucket{method="y",le="0.1"} 4.0
seconds_bucket{method="y",le="+Inf"} 4.0
seconds_count{method="x"} 2.0
"""


def test_a_total_is_over_all_labels() -> None:
    read = Scrape(TEXT, 1.0)
    assert read.total("connections") == 5
    assert read.total("nothing") is None


def test_the_buckets_of_a_histogram_are_over_all_labels() -> None:
    read = Scrape(TEXT, 1.0)
    assert read.buckets("seconds") == {0.1: 5.0, math.inf: 6.0}
    assert read.buckets("nothing") == {}


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("127.0.0.1:9100", "http://127.0.0.1:9100/metrics"),
        ("http://edge:8000", "http://edge:8000/metrics"),
        ("http://edge:8000/", "http://edge:8000/metrics"),
        ("https://edge/own/path", "https://edge/own/path"),
        ("[::1]:9100", "http://[::1]:9100/metrics"),
    ],
)
def test_a_target_is_an_address_or_a_url(target: str, url: str) -> None:
    assert metrics_url(target) == url


@pytest.mark.parametrize(
    "target", ["", "edge", "ftp://edge:1", "http://", "http://a:b@edge:1", "edge:port", "edge:1?q"]
)
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(ValueError):
        metrics_url(target)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server with good metrics, and with answers that are none."""

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/metrics")

    async def text(request: web.Request) -> web.Response:
        return web.Response(
            body={"metrics": TEXT.encode(), "words": b"no {metrics", "bytes": b"\xff"}[request.path[1:]]
        )

    application = web.Application()
    application.add_routes([web.get(f"/{name}", text) for name in ("metrics", "words", "bytes")])
    application.add_routes([web.get("/silent", silent), web.get("/moved", moved)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_metrics_are_asked_for(session: aiohttp.ClientSession, url: str) -> None:
    assert (await scrape(session, f"{url}/metrics", 10)).total("connections") == 5


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "status 404"),
        ("/moved", "status 302"),
        ("/words", "no metrics"),
        ("/bytes", "no metrics"),
    ],
)
async def test_what_is_no_metrics_is_told(session: aiohttp.ClientSession, url: str, path: str, words: str) -> None:
    with pytest.raises(ScrapeFailed, match=words):
        await scrape(session, url + path, 10)


async def test_a_server_that_is_silent_is_left(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(ScrapeFailed, match="in time"):
        await scrape(session, f"{url}/silent", 0.05)


async def test_an_answer_is_bounded(session: aiohttp.ClientSession, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "MAX_BYTES", 10)
    with pytest.raises(ScrapeFailed, match="too large"):
        await scrape(session, f"{url}/metrics", 10)


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    with unused_target() as target, pytest.raises(ScrapeFailed, match="cannot be reached"):
        await scrape(session, metrics_url(target), 10)


async def test_somebody_there_who_speaks_no_http(session: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asking = asyncio.create_task(scrape(session, f"http://127.0.0.1:{server.getsockname()[1]}/metrics", 10))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            connection.sendall(b"220 mail\r\n")
            with pytest.raises(ScrapeFailed, match=r"no metrics|cannot be reached"):
                await asking
