"""Who is let in at the admin port, as the auth service decides."""

from __future__ import annotations

import pytest
from tidewire.auth.v1 import auth_pb2

from service_runtime.debugging.admission import Refused
from tests.unit.tidewire_client.auth_peer import GOOD_KEY, WRONG_KEY, AuthPeer
from tests.unit.tidewire_client.peers import serving_auth
from tidewire_client.debug_access import DebugAccess
from tidewire_client.verifier import KeyVerifier

ADDRESS = "192.0.2.7"


async def admitted(peer: AuthPeer, key: str = GOOD_KEY) -> str | int:
    """Return the key's id, or the status of the refusal."""
    async with serving_auth(peer) as target:
        verifier = KeyVerifier(target, service_token="a-token", deadline_s=1.0)
        try:
            return await DebugAccess(verifier).admit(key, ADDRESS)
        except Refused as refused:
            return 0 if key in refused.message else refused.status
        finally:
            await verifier.close()


async def test_a_key_with_the_permission_is_let_in() -> None:
    peer = AuthPeer()
    assert await admitted(peer) == "k1"
    (asked,) = peer.asked_for
    assert (asked.action, asked.channel, asked.domain, asked.client_address) == ("admin", "debug", "", ADDRESS)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (auth_pb2.VERDICT_CODE_INSUFFICIENT_PERMISSIONS, 403),
        (auth_pb2.VERDICT_CODE_FORBIDDEN, 403),
        (auth_pb2.VERDICT_CODE_REVOKED, 401),
        (auth_pb2.VERDICT_CODE_EXPIRED, 401),
        (auth_pb2.VERDICT_CODE_RATE_LIMITED, 429),
        (auth_pb2.VERDICT_CODE_USAGE_EXCEEDED, 429),
    ],
)
async def test_a_denial_is_a_refusal(code: int, status: int) -> None:
    peer = AuthPeer()
    peer.code = code
    assert await admitted(peer) == status


async def test_an_unknown_key_is_refused() -> None:
    assert await admitted(AuthPeer(), WRONG_KEY) == 401


async def test_without_an_auth_service_nobody_can_say() -> None:
    peer = AuthPeer()
    peer.away = True
    assert await admitted(peer) == 503
