"""Implements `ws_edge.core.ports.Keys` with the Python client of the auth service."""

from __future__ import annotations

import functools
import math
from typing import Final

from tidewire_client.errors import ServiceTimeout, TidewireError
from tidewire_client.verdict import Verdict
from tidewire_client.verifier import KeyVerifier
from ws_edge.core.ports import KeyLimits, KeyVerdict, ServiceAway

_ALLOWED: Final = KeyVerdict("VALID")
# Verdicts whose translation is remembered: a key's many connections ask one after the other.
MEMORY: Final = 256


class VerifiedKeys:
    """Verification of keys and permissions, cached under a watch by `KeyVerifier`."""

    def __init__(self, verifier: KeyVerifier) -> None:
        self._verifier = verifier

    async def verify(self, api_key: str, domain: str, workspace: str, client_address: str) -> KeyVerdict:
        """Verify a key for a workspace, and charge the use."""
        try:
            verdict = await self._verifier.verify(
                api_key, domain=domain, workspace=workspace, client_address=client_address
            )
            return _verdict(verdict)
        except ServiceTimeout:
            raise ServiceAway("auth", timed_out=True) from None
        except TidewireError:
            raise ServiceAway("auth", timed_out=False) from None

    async def check(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict:
        """Decide about one action; an empty action asks only if the key is still good."""
        try:
            return _verdict(await self._verifier.check(key_id, action, channel, domain=domain, workspace=workspace))
        except ServiceTimeout:
            raise ServiceAway("auth", timed_out=True) from None
        except TidewireError:
            raise ServiceAway("auth", timed_out=False) from None

    def check_cached(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict | None:
        """Return the decision if it is known without asking."""
        verdict = self._verifier.check_cached(key_id, action, channel, domain, workspace)
        if verdict is None:
            return None
        return _ALLOWED if verdict.allowed else _verdict(verdict)


@functools.lru_cache(MEMORY)
def _verdict(verdict: Verdict) -> KeyVerdict:
    limits = verdict.limits
    return KeyVerdict(
        verdict.code.name,
        verdict.key_id,
        KeyLimits(
            frames_per_second=limits.frames_per_second,
            frames_burst=limits.frames_burst,
            bytes_per_second=limits.bytes_per_second,
            max_channels=limits.max_channels,
            max_connections=limits.max_connections,
            key_frames_per_second=limits.key_frames_per_second,
            key_bytes_per_second=limits.key_bytes_per_second,
        ),
        verdict.expire_time_s,
        verdict.missing,
        math.ceil(verdict.retry_after_s * 1000),
        verdict.revision,
    )
