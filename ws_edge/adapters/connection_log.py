"""Log lines about connections: each names the connection, its session and the id of its key."""

from __future__ import annotations

from typing import Final

from service_runtime.logs import get_logger
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import Connection

log = get_logger("ws_edge.connections")

# What an operator may have to explain to whoever owns the key. Of others there may be ten thousand at once.
_TOLD: Final = frozenset({CloseCode.TRY_AGAIN_LATER, CloseCode.RATE_LIMIT})


def log_defect(connection: Connection | None, exc: BaseException) -> None:
    """Log an exception that nobody foresaw; None: it concerns no connection."""
    log.error("defect", exc_info=exc, **({} if connection is None else names(connection)))


def log_close(connection: Connection, code: CloseCode, reason: str) -> None:
    """Log why a client is let go, if it had authenticated and an operator may want to know."""
    if code in _TOLD and connection.facts is not None:
        log.warning("client is let go", code=int(code), reason=reason, **names(connection))


def names(connection: Connection) -> dict[str, object]:
    """Return what a connection is known by; before it has authenticated that is its number alone."""
    facts = connection.facts
    if facts is None:
        return {"connection": connection.number}
    return {"connection": connection.number, "session": facts.session_id, "key_id": facts.key_id}
