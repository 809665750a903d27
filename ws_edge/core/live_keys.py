"""What a change of a key does to the connections that live by it: they end, lose channels, or live by new limits.

Nothing here takes long: whoever calls goes through many connections in small groups (`adapters/key_watcher.py`).
"""

from __future__ import annotations

import functools

from ws_edge.core.authentication import DENIALS
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import Connection, State
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.handler_base import Refuse
from ws_edge.core.key_terms import KeyTerms
from ws_edge.core.membership_handlers import MembershipHandlers
from ws_edge.core.ports import Clock, Keys
from ws_edge.core.registry import Registry


class LiveKeys:
    """Holds live connections to what their keys allow now.

    Args:
        keys: Decides about keys and permissions.
        clock: The time.
        registry: All connections.
        terms: Limits and expiry.
        membership: Takes memberships away.
        refuse: Tells a client what is wrong, and closes.
    """

    def __init__(
        self,
        keys: Keys,
        clock: Clock,
        registry: Registry,
        terms: KeyTerms,
        membership: MembershipHandlers,
        refuse: Refuse,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._registry = registry
        self._terms = terms
        self._membership = membership
        self._refuse = refuse

    def changed(self, key_id: str) -> list[Connection]:
        """Note that a key changed; return its live connections, each of which is to be ended or checked again."""
        self._registry.changes.mark(key_id)
        return self._registry.of_key(key_id)

    def all_changed(self) -> list[Connection]:
        """Note that any key may have changed; return the live connections of all keys."""
        self._registry.changes.mark_all()
        return [connection for key_id in self._registry.key_ids() for connection in self._registry.of_key(key_id)]

    def expired(self) -> list[Connection]:
        """Return the connections whose key's time is over."""
        now_s = self._clock.now_ms() / 1000
        return [
            connection
            for connection in self._registry
            if connection.expire_time_s is not None and now_s >= connection.expire_time_s
        ]

    def end(self, connection: Connection, key_id: str, code: str) -> None:
        """Close a connection whose key is no longer good; nothing happens if it has another key by now.

        Args:
            connection: The connection.
            key_id: The key that it lived by when the change came.
            code: A name of `tidewire.auth.v1.VerdictCode`, without its prefix.
        """
        if connection.facts is not None and connection.facts.key_id == key_id:
            self._refuse(connection, _ending(code), None)

    async def recheck(self, connection: Connection, revision: int) -> None:
        """Hold a connection to what its key allows now, and tell it, if it was let in before the change.

        Args:
            connection: The connection.
            revision: That of the change, in the auth service's store.

        Raises:
            ServiceAway: Nothing is known: check again later.
        """
        who = connection.facts
        if who is None or connection.closed:
            return
        verdict = await self._keys.check(who.key_id, "", "", who.domain, who.workspace)
        if connection.closed or connection.facts is not who:
            return
        if not verdict.allowed:
            self._refuse(connection, _ending(verdict.code), None)
            return
        self._terms.renew(connection, verdict)
        for channel in list(connection.channels):
            decision = await self._keys.check(who.key_id, "join", channel, who.domain, who.workspace)
            if not decision.allowed and not connection.closed:
                self._membership.expel(connection, channel, "permission_denied")
        if connection.state is State.AUTHENTICATED and revision > connection.key_revision:
            # Only what is told is over. A change from before the client was let in may be heard of after the next one was
            # made, which this verdict knows of: then the client is told when word of that one comes.
            connection.key_revision = max(revision, verdict.revision)
            connection.send_frame(
                "auth_status", {"status": "authenticated", "message": "Permissions were checked again"}
            )


@functools.cache
def _ending(code: str) -> FrameError:
    """Return what connections are told whose key has this verdict; one for all of them."""
    denial = DENIALS.get(code, ErrorType.INVALID_KEY)
    words = "API key is no longer allowed here" if denial is ErrorType.PERMISSION_DENIED else None
    return FrameError(denial, words, close=CloseCode.AUTHENTICATION)
