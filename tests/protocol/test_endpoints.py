"""protocol.md, "Endpoints": upgrades that are refused, and what is served besides the WebSocket."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.http_client import http_async
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.target import Target

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("client_id", ["a", "A", "0", "-", "_", "a" * 64, "Az09_-"])
async def test_client_ids_that_are_allowed(clients: Clients, client_id: str) -> None:
    client = await clients.open(client_id)
    assert (await client.authenticate(clients.workspace))["data"]["client_id"] == client_id


@pytest.mark.parametrize("client_id", ["a" * 65, "a.b", "a%20b", "%C3%BC", "a@b", "*", "a%00", "a%2Fb", "a%0A"])
async def test_client_ids_that_are_refused_before_the_upgrade(target: Target, endpoint: str, client_id: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await ProtocolClient.open(target, client_id, debug=endpoint == "debug")
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:5174", "http://localhost"])
async def test_foreign_pages_are_refused_before_the_upgrade(target: Target, endpoint: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await ProtocolClient.open(target, new_name("page"), debug=endpoint == "debug", origin=origin)
    assert refused.value.response.status_code == 403


async def test_own_page_may_connect(clients: Clients, target: Target) -> None:
    client = await clients.open(origin=target.http_url)
    await client.authenticate(clients.workspace)


async def test_development_page_may_connect(clients: Clients) -> None:
    client = await clients.open(origin="http://localhost:5173")
    await client.authenticate(clients.workspace)


async def test_websocket_path_without_an_upgrade_is_refused(target: Target, endpoint: str) -> None:
    path = "/debug/client_x" if endpoint == "debug" else "/client_x"
    answer = await http_async("GET", target.http_url + path)
    assert answer.status in (400, 426)


async def test_health(target: Target) -> None:
    assert (await http_async("GET", f"{target.http_url}/health")).status == 200


async def test_ready(target: Target) -> None:
    assert (await http_async("GET", f"{target.http_url}/ready")).status == 200


async def test_metrics_are_prometheus_text(target: Target) -> None:
    answer = await http_async("GET", f"{target.http_url}/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"# HELP tidewire_edge_" in answer.body
    assert b"# TYPE tidewire_edge_" in answer.body


async def test_page_to_try_it(target: Target) -> None:
    answer = await http_async("GET", f"{target.http_url}/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"<html" in answer.body.lower()


async def test_other_paths_are_not_found(target: Target) -> None:
    assert (await http_async("GET", f"{target.http_url}/nowhere")).status == 404
