"""Answers to requests that are not let in: status, `WWW-Authenticate` (RFC 6750 section 3) and a body in JSON.

| status | when | `error` |
|---|---|---|
| 401 | no key | none |
| 400 | different keys at once | `invalid_request` |
| 401 | the key is unknown, disabled, revoked or expired | `invalid_token` |
| 403 | the key is not allowed here, or lacks a permission | `insufficient_scope` |
| 429 | used too often (`Retry-After`), or used up | `rate_limited`, `usage_exceeded` |
| 503 | the auth service gives no answer, and the key is not known to be good | `unavailable` |

A WebSocket is answered before it is accepted: with the same answer where the server can
(`websocket.http.response`), else it is refused, which clients see as 403.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from tidewire_client.denials import BAD_KEYS, NO_KEY, NOT_VERIFIED, SEVERAL_KEYS, SPENT, words_of
from tidewire_client.verdict import Verdict, VerdictCode

RETRY_AFTER_OUTAGE_S: Final = 1
POLICY_VIOLATION: Final = 1008
_RESPONSE_EXTENSION: Final = "websocket.http.response"

Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a request is not let in.

    Attributes:
        status: Of HTTP.
        error: For programs.
        words: For people.
        challenge: `WWW-Authenticate`; empty: none.
        retry_after_s: `Retry-After`, in seconds; None: none.
    """

    status: int
    error: str
    words: str
    challenge: str = ""
    retry_after_s: int | None = None

    async def send(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request, or a WebSocket that is not accepted yet."""
        if scope["type"] == "http":
            await self._respond(send, "http.response")
            return
        await receive()  # websocket.connect
        if _RESPONSE_EXTENSION in (scope.get("extensions") or {}):
            await self._respond(send, _RESPONSE_EXTENSION)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": self.words})

    async def _respond(self, send: Callable[[Message], Awaitable[None]], kind: str) -> None:
        body = json.dumps({"error": self.error, "error_description": self.words}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if self.challenge:
            headers.append((b"www-authenticate", self.challenge.encode()))
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        await send({"type": f"{kind}.start", "status": self.status, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})


def missing_key(realm: str) -> Answer:
    """Return the answer to a request without a key: it names no error (RFC 6750 section 3.1)."""
    return Answer(401, "missing_key", NO_KEY, f"Bearer realm={_quoted(realm)}")


def several_keys(realm: str) -> Answer:
    """Return the answer to a request with different keys."""
    return Answer(400, "invalid_request", SEVERAL_KEYS, _challenge(realm, "invalid_request", SEVERAL_KEYS))


def unavailable() -> Answer:
    """Return the answer when nobody can say if a key is good."""
    return Answer(503, "unavailable", NOT_VERIFIED, retry_after_s=RETRY_AFTER_OUTAGE_S)


def denial(verdict: Verdict, realm: str) -> Answer:
    """Return the answer to a request whose key is not good, or not for this."""
    words = words_of(verdict)
    if verdict.code in BAD_KEYS:
        return Answer(401, "invalid_token", words, _challenge(realm, "invalid_token", words))
    if verdict.code is VerdictCode.RATE_LIMITED:
        return Answer(429, "rate_limited", words, retry_after_s=max(1, math.ceil(verdict.retry_after_s)))
    if verdict.code in SPENT:
        return Answer(429, "usage_exceeded", words)
    scope = verdict.missing if verdict.code is VerdictCode.INSUFFICIENT_PERMISSIONS else ""
    return Answer(403, "insufficient_scope", words, _challenge(realm, "insufficient_scope", words, scope))


def _challenge(realm: str, error: str, words: str, scope: str = "") -> str:
    challenge = f"Bearer realm={_quoted(realm)}, error={_quoted(error)}, error_description={_quoted(words)}"
    return f"{challenge}, scope={_quoted(scope)}" if scope else challenge


def _quoted(text: str) -> str:
    """Return a quoted string of a header: what may not stand in one (RFC 6750 section 3) is a question mark."""
    plain = "".join(character if " " <= character <= "~" and character not in '"\\' else "?" for character in text)
    return f'"{plain}"'
