"""The edge with keys whose uses are counted, and with addresses from which too many attempts failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.support.http_client import http
from tests.support.protocol_client import ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tidewire_client import KeyAdmin, VerificationRate

pytestmark = pytest.mark.integration

ATTEMPTS = 3


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that counts failed attempts; whoever connects from this machine is a proxy to it."""
    limits = {"failed-attempts-per-minute": ATTEMPTS, "failed-attempts-per-minute-of-address": ATTEMPTS}
    made = Gateway(tmp_path_factory.mktemp("strict"), auth=limits)
    with made:
        yield made


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose edge waits for an answer of the auth service: it asks once, so each use is charged once."""
    made = Gateway(tmp_path_factory.mktemp("patient"), edge={"auth-deadline-s": 30})
    with made:
        yield made


@pytest.fixture
async def admin(patient: Gateway) -> AsyncIterator[KeyAdmin]:
    async with KeyAdmin(patient.auth.address, token=patient.service_token) as made:
        yield made


@asynccontextmanager
async def connected(gateway: Gateway, **more: Any) -> AsyncIterator[ProtocolClient]:
    """Open a connection, and close it at the end, whatever happens."""
    client = await ProtocolClient.open(Target.of(gateway), **more)
    try:
        yield client
    finally:
        await client.close()


async def test_a_connection_is_one_use(patient: Gateway, admin: KeyAdmin) -> None:
    made = await admin.create("tests", ["*:*"], max_uses=1)
    workspace = new_name("w")
    async with connected(patient) as first, connected(patient) as second:
        await first.authenticate(workspace, api_key=made.api_key)
        await first.join("lobby")
        await first.publish("lobby", "still good")
        frame_id = await second.send_connect(workspace, api_key=made.api_key)
        refused = await second.expect_error("permission_denied", 403, frame_id=frame_id)
        assert "used up" in refused["data"]["message"]
        await second.authenticate(workspace)


async def test_a_key_that_is_used_too_often_may_try_again_when_told(patient: Gateway, admin: KeyAdmin) -> None:
    rate = VerificationRate(1, timedelta(hours=1))
    made = await admin.create("tests", ["*:*"], verification_rate=rate)
    workspace = new_name("w")
    async with connected(patient) as other, connected(patient) as client:
        await other.authenticate(workspace, api_key=made.api_key)
        frame_id = await client.send_connect(workspace, api_key=made.api_key)
        refused = await client.expect_error("rate_limited", 429, frame_id=frame_id)
        assert 0 < refused["data"]["retry_after_ms"] <= 3_600_000
        await admin.update(made.key.key_id, verification_rate=None)
        await client.authenticate(workspace, api_key=made.api_key)
        answer = http(
            "GET",
            f"http://{patient.edge.address}/api/chat/threads?domain=tests&workspace={workspace}",
            headers={"X-API-Key": made.api_key},
        )
        assert answer.status == 200


async def test_failed_attempts_are_counted_by_the_address_that_the_proxy_tells(strict: Gateway) -> None:
    async def attempt(address: str) -> str:
        async with connected(strict, additional_headers={"X-Forwarded-For": f"203.0.113.99, {address}"}) as client:
            frame_id = await client.send_connect("w", api_key=f"tw_live_{'0' * 16}_{'1' * 38}")
            frame = await client.take("error", frame_id=frame_id)
            return str(frame["data"]["error_type"])

    attempts = [await attempt("192.0.2.1") for _ in range(ATTEMPTS + 1)]
    assert attempts == ["invalid_key"] * ATTEMPTS + ["rate_limited"]
    assert await attempt("192.0.2.2") == "invalid_key"
