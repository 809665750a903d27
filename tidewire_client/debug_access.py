"""Lets operators in at the admin port of a service: the auth service decides, asked by the verifier that the service has."""

from __future__ import annotations

import math

from service_runtime.debugging.admission import ACTION, RESOURCE, Refused, not_permitted, undecided, unknown_key
from tidewire_client.errors import TidewireError
from tidewire_client.verdict import VerdictCode
from tidewire_client.verifier import KeyVerifier


class DebugAccess:
    """Implements `service_runtime.debugging.admission.Admission`.

    Args:
        verifier: Asks the auth service. While that is away, a key that was let in lately goes on for a bounded time.
    """

    def __init__(self, verifier: KeyVerifier) -> None:
        self._verifier = verifier

    async def admit(self, api_key: str, address: str) -> str:
        """Return the id of a key that is good and permits `admin:debug` everywhere; raises Refused."""
        try:
            verdict = await self._verifier.verify(api_key, action=ACTION, channel=RESOURCE, client_address=address)
        except TidewireError:
            raise undecided() from None
        if verdict.allowed:
            return verdict.key_id
        if verdict.code in (VerdictCode.INSUFFICIENT_PERMISSIONS, VerdictCode.FORBIDDEN):
            raise not_permitted(verdict.missing)
        if verdict.code in (VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED):
            wait_s = math.ceil(verdict.retry_after_s)
            raise Refused(429, "rate_limited", "The key was used too often", retry_after_s=wait_s)
        raise unknown_key()
