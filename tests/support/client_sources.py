"""Clients that come from several addresses of this machine; what is counted by address tells which address an edge saw."""

from __future__ import annotations

from typing import Any

from tests.support.protocol_client import Clients
from tests.support.target import Target

CLIENT, OTHER_CLIENT = "127.0.0.9", "127.0.0.10"
UNKNOWN_KEY = f"tw_live_{'0' * 16}_{'1' * 38}"


async def assert_counted_by_address(target: Target, attempts: int) -> None:
    """Fail unless one address is held up, another is not, and nobody can pass for another.

    Args:
        target: Where failed attempts are counted by address.
        attempts: How many are allowed.
    """
    answers = [await attempt(target, local_addr=(CLIENT, 0)) for _ in range(attempts + 1)]
    assert answers == ["invalid_key"] * attempts + ["rate_limited"]
    assert await attempt(target, local_addr=(OTHER_CLIENT, 0)) == "invalid_key"
    forged = {"X-Forwarded-For": CLIENT}
    assert await attempt(target, local_addr=(OTHER_CLIENT, 0), additional_headers=forged) == "invalid_key"
    forged = {"X-Forwarded-For": "192.0.2.1"}
    assert await attempt(target, local_addr=(CLIENT, 0), additional_headers=forged) == "rate_limited"


async def attempt(target: Target, **options: Any) -> str:
    """Try an unknown key on a connection with these options; return what the error says."""
    async with Clients(target) as clients:
        client = await clients.open(**options)
        frame_id = await client.send_connect("w", api_key=UNKNOWN_KEY)
        frame = await client.take("error", frame_id=frame_id)
        return str(frame["data"]["error_type"])
