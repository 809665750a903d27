"""ASGI middleware that lets only holders of good keys in, for any ASGI application: HTTP and WebSocket.

    app = FastAPI()
    app.add_middleware(KeyMiddleware, verifier=lambda: KeyVerifier("auth:50051", service_token=TOKEN), action="join")

Each request is one use of its key. What it is refused with is in `tidewire_client.asgi_answers`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, Final

from service_runtime.logs import get_logger
from tidewire_client.asgi_answers import Answer, denial, missing_key, several_keys, unavailable
from tidewire_client.client_address import ip_address
from tidewire_client.errors import TidewireError
from tidewire_client.request_keys import keys_in
from tidewire_client.verdict import Verdict
from tidewire_client.verifier import KeyVerifier

log = get_logger("tidewire_client.asgi")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
OfScope = str | Callable[[Scope], str]

VERDICT_KEY: Final = "tidewire.verdict"
IDENTITY_PREFIX: Final = b"x-tidewire-"


def verdict_of_scope(scope: Mapping[str, Any]) -> Verdict:
    """Return the verdict on the key of a request.

    Args:
        scope: Of the request; in FastAPI and Starlette `request.scope` or `websocket.scope`.

    Raises:
        LookupError: The middleware did not see the request, or its path is exempt.
    """
    verdict = scope.get(VERDICT_KEY)
    if not isinstance(verdict, Verdict):
        raise LookupError("no key was verified for this request: KeyMiddleware is not there, or the path is exempt")
    return verdict


def client_of_scope(scope: Scope) -> str:
    """Return the IP address that a request came from, as the server says; behind proxies it must be told to trust them."""
    client = scope.get("client")
    return ip_address(client[0]) if client else ""


class KeyMiddleware:
    """Protects an ASGI application.

    The key comes as `Authorization: Bearer <key>` or `X-API-Key: <key>`. A request that is let in has its verdict in the scope;
    headers `X-Tidewire-*` that the client sent are taken out, so that nobody can pass for what a proxy says of a key.

    Args:
        app: The application.
        verifier: One that the caller starts and closes; or what makes one: then it is started with the application and closed
            with it.
        action: What the key is wanted for: a text, or a function of the scope; empty: only that it is good.
        channel: Of the action: a text, or a function of the scope.
        domain: Where it is wanted: a text, or a function of the scope; empty: not checked.
        workspace: Where it is wanted: a text, or a function of the scope; empty: not checked.
        exempt: Paths that need no key; one that ends with `*` stands for all that begin like it.
        realm: Of the answer 401 (RFC 7235 section 2.2).
        client_address: Returns the address by which failed attempts are counted.
    """

    def __init__(
        self,
        app: App,
        verifier: KeyVerifier | Callable[[], KeyVerifier],
        *,
        action: OfScope = "",
        channel: OfScope = "",
        domain: OfScope = "",
        workspace: OfScope = "",
        exempt: Collection[str] = (),
        realm: str = "api",
        client_address: Callable[[Scope], str] = client_of_scope,
    ) -> None:
        self._app = app
        self._verifier = verifier if isinstance(verifier, KeyVerifier) else None
        self._make_verifier = None if isinstance(verifier, KeyVerifier) else verifier
        self._question: Mapping[str, OfScope] = {
            "action": action,
            "channel": channel,
            "domain": domain,
            "workspace": workspace,
            "client_address": client_address,
        }
        self._exempt_paths = frozenset(path for path in exempt if not path.endswith("*"))
        self._exempt_prefixes = tuple(path[:-1] for path in exempt if path.endswith("*"))
        self._realm = realm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket connection, or the life of the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, self._started(receive), self._closed(send))
        elif scope["type"] in ("http", "websocket"):
            await self._guard(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = {key: value for key, value in scope.items() if key != VERDICT_KEY}
        inside["headers"] = [
            (name, value) for name, value in scope["headers"] if not name.lower().startswith(IDENTITY_PREFIX)
        ]
        if not self._is_exempt(scope["path"]):
            answer = await self._decide(inside)
            if isinstance(answer, Answer):
                await answer.send(scope, receive, send)
                return
            inside[VERDICT_KEY] = answer
        await self._app(inside, receive, send)

    async def _decide(self, scope: Scope) -> Verdict | Answer:
        keys = keys_in(scope["headers"])
        if not keys:
            return missing_key(self._realm)
        if len(keys) > 1:
            return several_keys(self._realm)
        question = {name: value if isinstance(value, str) else value(scope) for name, value in self._question.items()}
        try:
            verdict = await (await self._running_verifier()).verify(keys.pop(), **question)
        except TidewireError as cause:
            log.warning("a key could not be verified", cause=str(cause))
            return unavailable()
        return verdict if verdict.allowed else denial(verdict, self._realm)

    def _is_exempt(self, path: str) -> bool:
        if path in self._exempt_paths:
            return True
        # A path that goes up again may lead an application elsewhere than it looks.
        return path.startswith(self._exempt_prefixes) and ".." not in path.split("/")

    async def _running_verifier(self) -> KeyVerifier:
        if self._verifier is None:
            assert self._make_verifier is not None
            self._verifier = self._make_verifier()
            await self._verifier.start()
        return self._verifier

    def _started(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._running_verifier()
            return message

        return received

    def _closed(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            ends = message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
            if ends and self._make_verifier is not None and self._verifier is not None:
                verifier, self._verifier = self._verifier, None
                await verifier.close()
            await send(message)

        return sent
