"""The admin port: who is let in, and what is answered."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_runtime.debugging import admin_server
from service_runtime.debugging.admin_server import AdminServer, serve_debugging
from service_runtime.debugging.admission import not_permitted, undecided, unknown_key
from service_runtime.debugging.listings import Listing
from service_runtime.listening import PortTakenError
from service_runtime.settings import ServiceSettings, SettingsError, make_settings
from tests.support.authority import Authority
from tests.support.http_client import HttpAnswer, http_async
from tests.support.waiting import eventually

GOOD = "a-good-key"
REFUSALS = {"bad": unknown_key(), "poor": not_permitted("admin:debug"), "away": undecided()}
THINGS = Listing(lambda: range(1, 4), lambda number: {"id": number}, int)


class Admission:
    """Knows a few words, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.slow = False

    async def admit(self, api_key: str, address: str) -> str:
        self.asked.append((api_key, address))
        if self.slow:
            await asyncio.Event().wait()
        if api_key == GOOD:
            return "k1"
        raise REFUSALS[api_key]


class World:
    """A server, and calls of it."""

    def __init__(self, server: AdminServer, port: int, admission: Admission) -> None:
        self.server = server
        self.port = port
        self.admission = admission

    async def get(self, path: str, key: str | None = GOOD, **headers: str) -> HttpAnswer:
        shown: Mapping[str, str] = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await http_async("GET", f"http://127.0.0.1:{self.port}{path}", headers={**shown, **headers})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    admission = Admission()
    server = AdminServer(ServiceSettings(admin_port=0), admission, {"things": THINGS})
    port = await server.start()
    yield World(server, port, admission)
    await server.stop()


def error(answer: HttpAnswer) -> Any:
    return answer.json()["error"]


async def test_nothing_is_served_unless_a_port_is_named() -> None:
    async with AsyncExitStack() as ending:
        assert await serve_debugging(ServiceSettings(), Admission(), {}, ending) == {}


async def test_the_port_is_told() -> None:
    async with AsyncExitStack() as ending:
        facts = await serve_debugging(ServiceSettings(admin_port=0), Admission(), {}, ending)
        answer = await http_async("GET", f"http://127.0.0.1:{facts['admin_port']}/debug")
    assert answer.status == 401


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            await AdminServer(ServiceSettings(admin_port=port), Admission(), {}).start()


def test_the_admin_port_is_a_port_of_its_own() -> None:
    with pytest.raises(SettingsError, match=r"ADMIN_PORT: .*a port of its own"):
        make_settings(ServiceSettings, {"admin_port": 9100, "metrics_port": 9100})


async def test_the_endpoints_are_told(world: World) -> None:
    answer = await world.get("/debug")
    assert answer.json() == {"endpoints": ["/debug/things", "/debug/tasks", "/debug/profile"]}
    assert answer.headers["Cache-Control"] == "no-store"
    assert world.admission.asked == [(GOOD, "127.0.0.1")]


async def test_a_list_comes_in_pages(world: World) -> None:
    assert (await world.get("/debug/things?limit=2")).json() == {
        "total": 3,
        "things": [{"id": 1}, {"id": 2}],
        "next": 2,
    }
    assert (await world.get("/debug/things?limit=2&after=2")).json() == {
        "total": 3,
        "things": [{"id": 3}],
        "next": None,
    }


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after=x"])
async def test_a_page_that_cannot_be_is_refused(world: World, query: str) -> None:
    answer = await world.get(f"/debug/things?{query}")
    assert (answer.status, error(answer)["error_type"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/debug", "/debug/things", "/debug/tasks", "/debug/profile", "/nowhere"])
@pytest.mark.parametrize(
    ("key", "status", "error_type"),
    [
        (None, 401, "not_authenticated"),
        ("bad", 401, "invalid_key"),
        ("poor", 403, "permission_denied"),
        ("away", 503, "unavailable"),
    ],
)
async def test_nobody_is_served_without_a_good_key(
    world: World, path: str, key: str | None, status: int, error_type: str
) -> None:
    answer = await world.get(path, key)
    assert answer.status == status
    assert (error(answer)["error_type"], error(answer)["code"]) == (error_type, status)
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


@pytest.mark.parametrize("value", ["", "Bearer", "Basic Zm9v", "Bearer schlüssel"])
async def test_what_is_no_key_is_not_asked_about(world: World, value: str) -> None:
    answer = await world.get("/debug", None, Authorization=value)
    assert answer.status == 401
    assert world.admission.asked == []


async def test_a_key_elsewhere_is_none(world: World) -> None:
    assert (await world.get(f"/debug?key={GOOD}&api_key={GOOD}", None)).status == 401


async def test_an_unknown_path_and_another_method_are_refused(world: World) -> None:
    assert (await world.get("/debug/nothing")).status == 404
    headers = {"Authorization": f"Bearer {GOOD}"}
    assert (await http_async("POST", f"http://127.0.0.1:{world.port}/debug/tasks", headers=headers)).status == 405


async def test_whoever_decides_has_a_time_to_do_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_server, "DEADLINE_S", 0.05)
    world.admission.slow = True
    assert (await world.get("/debug")).status == 504


async def test_tasks_are_shown(world: World) -> None:
    task = asyncio.create_task(asyncio.Event().wait(), name="one that waits")
    await asyncio.sleep(0)
    answer = (await world.get("/debug/tasks")).json()
    task.cancel()
    assert answer["total"] >= 2
    assert any("one that waits" in group["names"] for group in answer["tasks"])


async def test_a_profile_is_text(world: World) -> None:
    answer = await world.get("/debug/profile?seconds=1")
    assert answer.headers["Content-Type"].startswith("text/plain")
    for line in answer.body.decode().splitlines():
        assert int(line.rpartition(" ")[2]) > 0


@pytest.mark.parametrize("seconds", ["0", "61", "long"])
async def test_a_profile_is_bounded(world: World, seconds: str) -> None:
    assert (await world.get(f"/debug/profile?seconds={seconds}")).status == 400


async def test_one_profile_is_taken_at_a_time_and_the_end_ends_it(world: World) -> None:
    def long() -> asyncio.Task[HttpAnswer]:
        return asyncio.create_task(world.get("/debug/profile?seconds=60"))

    first = long()

    async def refused() -> bool:
        nonlocal first
        if first.done():  # the short one below was being taken when it came
            first = long()
        answer = await world.get("/debug/profile?seconds=1")
        return answer.status == 409 and error(answer)["error_type"] == "profile_running"

    await eventually(refused, what="the first is being taken")
    await world.server.stop()
    assert (await first).status == 200


async def test_a_defect_is_told_as_such_and_not_what_it_is() -> None:
    def broken(_: int) -> None:
        raise RuntimeError("inner words")

    server = AdminServer(ServiceSettings(admin_port=0), Admission(), {"things": Listing(lambda: [1], broken, int)})
    port = await server.start()
    try:
        answer = await World(server, port, Admission()).get("/debug/things")
    finally:
        await server.stop()
    assert answer.status == 500
    assert b"inner words" not in answer.body
    assert json.loads(answer.body)["error"]["error_type"] == "server_error"


async def test_with_certificates_it_speaks_https_alone(tmp_path: Path) -> None:
    identity = Authority().identity(tmp_path)
    settings = ServiceSettings(admin_port=0, tls_cert_file=identity.cert, tls_key_file=identity.key)
    server = AdminServer(settings, Admission(), {})
    port = await server.start()
    context = ssl.create_default_context(cafile=str(identity.ca))
    try:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {GOOD}"}
            async with session.get(f"https://127.0.0.1:{port}/debug", ssl=context, headers=headers) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/debug", headers=headers)
    finally:
        await server.stop()
