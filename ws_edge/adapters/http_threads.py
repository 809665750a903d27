"""`/api/chat/threads`: threads over HTTP (`protocol.md`, "Endpoints").

The caller's key comes in `Authorization: Bearer` or `X-API-Key`; `domain` and `workspace` are query parameters (or fields of a
POST's body) and default to `personal`. Errors are `{"error": {"message", "error_type", "code"}}` with the matching status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web
from msgspec import Raw
from tidewire.session.v1 import threads_pb2

from service_runtime.http_bodies import UnreadableBody, read_body
from service_runtime.logs import get_logger
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.grpc_threads import ThreadsClient, ThreadServiceError
from ws_edge.core import server_frames
from ws_edge.core.authentication import DENIALS, USED_UP
from ws_edge.core.errors import RULES, ErrorType, FrameError
from ws_edge.core.names import is_channel, is_name
from ws_edge.core.ports import Clock, Keys, ServiceAway

log = get_logger("ws_edge.threads")

DEFAULT_PLACE = "personal"
MAX_TITLE = 256
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NewThread(msgspec.Struct):
    """Body of `POST /api/chat/threads`."""

    title: str = ""
    thread_id: str = ""
    channel: str = ""
    metadata: dict[str, Raw] | None = None
    client_id: str = ""
    domain: str | None = None
    workspace: str | None = None


class NewMessage(msgspec.Struct):
    """What the edge reads of the body of `POST /api/chat/threads/{thread_id}/messages`."""

    content: Raw
    id: str = ""
    client_id: str = ""
    domain: str | None = None
    workspace: str | None = None


class HttpError(Exception):
    """A request is refused; becomes an error body."""

    def __init__(self, error_type: str, message: str, code: int, retry_after_ms: int | None = None) -> None:
        self.error_type = error_type
        self.message = message
        self.code = code
        self.retry_after_ms = retry_after_ms
        super().__init__(message)

    def response(self) -> web.Response:
        """Return it as an HTTP response."""
        body: dict[str, Any] = {"message": self.message, "error_type": self.error_type, "code": self.code}
        headers = {}
        if self.retry_after_ms is not None:
            body["retry_after_ms"] = self.retry_after_ms
            headers[hdrs.RETRY_AFTER] = str(max(1, self.retry_after_ms // 1000))
        if self.code == 401:
            headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
        return web.json_response({"error": body}, status=self.code, headers=headers)


class Caller(msgspec.Struct):
    """Who calls, and where."""

    key_id: str
    domain: str
    workspace: str


class ThreadsApi:
    """The HTTP handlers.

    Args:
        threads: The thread service.
        keys: Verification of keys.
        clock: The time.
        new_id: Makes ids.
        max_message_bytes: Largest `data` of a message.
    """

    def __init__(
        self,
        threads: ThreadsClient,
        keys: Keys,
        clock: Clock,
        new_id: Callable[[], str],
        max_message_bytes: int,
        addresses: ClientAddresses,
    ) -> None:
        self._addresses = addresses
        self._threads = threads
        self._keys = keys
        self._clock = clock
        self._new_id = new_id
        self._max_message_bytes = max_message_bytes

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, each with errors turned into bodies."""
        thread = "/api/chat/threads/{thread_id}"
        return [
            web.get("/api/chat/threads", self._safely(self.list_threads), allow_head=False),
            web.post("/api/chat/threads", self._safely(self.create_thread)),
            web.get(thread, self._safely(self.get_thread), allow_head=False),
            web.get(f"{thread}/messages", self._safely(self.list_messages), allow_head=False),
            web.post(f"{thread}/messages", self._safely(self.post_message)),
            web.options("/api/chat/threads{tail:.*}", _no_preflight),
        ]

    async def list_threads(self, request: web.Request) -> web.Response:
        """Answer one page of threads, newest first."""
        caller = await self._caller(request, *_place(request))
        await self._require(caller, "*")
        limit = _limit(request, 50)
        page = await self._threads.list_threads(caller.domain, caller.workspace, limit, request.query.get("cursor", ""))
        body: dict[str, Any] = {
            "threads": [_thread(thread) for thread in page.threads],
            "total": page.total,
            "domain": caller.domain,
            "workspace": caller.workspace,
            "timestamp": self._now(),
        }
        return _json(_with_cursor(body, page.next_page_token))

    async def create_thread(self, request: web.Request) -> web.Response:
        """Make a thread: 201, or 200 when one with this id was there before."""
        body = await _body(request, NewThread)
        caller = await self._caller(request, *_place(request, body.domain, body.workspace))
        thread_id = body.thread_id or self._new_id()
        channel = body.channel or f"thread:{thread_id}"
        _require_name(thread_id, "thread_id")
        if not is_channel(channel):
            raise HttpError("channel_error", "`channel` is not a channel name", 400)
        if len(body.title) > MAX_TITLE:
            raise HttpError("invalid_format", f"`title` is longer than {MAX_TITLE} characters", 400)
        await self._require(caller, channel)
        answer = await self._threads.create_thread(
            caller.domain,
            caller.workspace,
            thread_id,
            body.title,
            channel,
            _sender(body.client_id, caller),
            b"" if body.metadata is None else msgspec.json.encode(body.metadata),
            caller_can_repeat=bool(body.thread_id),
        )
        status = 200 if answer.existed else 201
        return _json({"thread": _thread(answer.thread), "timestamp": self._now()}, status=status)

    async def get_thread(self, request: web.Request) -> web.Response:
        """Answer one thread."""
        caller = await self._caller(request, *_place(request))
        thread = await self._thread_for(caller, request)
        return _json({"thread": _thread(thread), "timestamp": self._now()})

    async def list_messages(self, request: web.Request) -> web.Response:
        """Answer one page of a thread's messages, oldest first."""
        caller = await self._caller(request, *_place(request))
        thread = await self._thread_for(caller, request)
        page = await self._threads.list_messages(
            caller.domain, caller.workspace, thread.thread_id, _limit(request, 100), request.query.get("cursor", "")
        )
        body: dict[str, Any] = {
            "thread_id": thread.thread_id,
            "messages": [_message(message) for message in page.messages],
            "total": page.total,
            "domain": caller.domain,
            "workspace": caller.workspace,
            "timestamp": self._now(),
        }
        return _json(_with_cursor(body, page.next_page_token))

    async def post_message(self, request: web.Request) -> web.Response:
        """Publish a `chat_message` to the thread's channel: 201 when it is stored."""
        raw = await read_body(request)
        body = _decode(raw, NewMessage)
        caller = await self._caller(request, *_place(request, body.domain, body.workspace))
        if len(body.id) > 64:
            raise HttpError("invalid_format", "`id` is longer than 64 characters", 400)
        thread = await self._thread_for(caller, request)
        envelope = {"id", "client_id", "domain", "workspace"}
        data = {name: value for name, value in _decode(raw, dict[str, Raw]).items() if name not in envelope}
        encoded = msgspec.json.encode(data | {"thread_id": thread.thread_id})
        if len(encoded) > self._max_message_bytes:
            raise HttpError("message_error", f"Message is larger than {self._max_message_bytes} bytes", 413)
        stored = await self._threads.post_message(
            f"{caller.domain}/{caller.workspace}/{thread.channel}",
            body.id or self._new_id(),
            _sender(body.client_id, caller),
            encoded,
            thread.thread_id,
            caller_can_repeat=bool(body.id),
        )
        message = {
            "type": "chat_message",
            "id": stored.id,
            "channel": thread.channel,
            "epoch": stored.position.epoch,
            "offset": stored.position.offset,
            "timestamp": server_frames.timestamp(stored.time_ms),
            "client_id": _sender(body.client_id, caller),
            "data": Raw(encoded),
        }
        return _json({"message": message, "status": "success", "timestamp": self._now()}, status=201)

    # What the handlers share.

    def _now(self) -> str:
        return server_frames.timestamp(self._clock.now_ms())

    async def _caller(self, request: web.Request, domain: str, workspace: str) -> Caller:
        api_key = _api_key(request)
        if not api_key:
            raise HttpError("not_authenticated", "An API key is required: Authorization: Bearer, or X-API-Key", 401)
        verdict = await self._keys.verify(api_key, domain, workspace, self._addresses.of(request))
        if not verdict.allowed:
            denial = DENIALS.get(verdict.code, ErrorType.INVALID_KEY)
            words = USED_UP if verdict.code == "USAGE_EXCEEDED" else RULES[denial].message
            raise HttpError(denial.value, words, RULES[denial].code, verdict.retry_after_ms or None)
        return Caller(verdict.key_id, domain, workspace)

    async def _require(self, caller: Caller, channel: str) -> None:
        verdict = await self._keys.check(caller.key_id, "threads", channel, caller.domain, caller.workspace)
        if not verdict.allowed:
            raise HttpError("permission_denied", f"Missing permission: threads:{channel}", 403)

    async def _thread_for(self, caller: Caller, request: web.Request) -> threads_pb2.Thread:
        thread_id = request.match_info["thread_id"]
        _require_name(thread_id, "thread_id")
        thread = await self._threads.get_thread(caller.domain, caller.workspace, thread_id)
        await self._require(caller, thread.channel)
        return thread

    def _safely(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except HttpError as problem:
                return problem.response()
            except FrameError as problem:
                return HttpError(problem.error_type.value, problem.message, problem.code).response()
            except ServiceAway as away:
                kind = ErrorType.TIMEOUT if away.timed_out else ErrorType.UNAVAILABLE
                return HttpError(kind.value, str(away).capitalize(), RULES[kind].code, 1000).response()
            except ThreadServiceError as problem:
                return HttpError(problem.error_type, problem.message, problem.code, problem.retry_after_ms).response()
            except UnreadableBody as problem:
                return HttpError("invalid_format", f"Body: {problem}", 400).response()
            except web.HTTPException:
                raise
            except Exception:
                log.exception("request failed", path=request.path)
                rule = RULES[ErrorType.SERVER_ERROR]
                return HttpError(ErrorType.SERVER_ERROR.value, rule.message, rule.code).response()

        return guarded


async def _no_preflight(request: web.Request) -> web.Response:
    return web.Response(status=204, headers={hdrs.ALLOW: "GET, POST, OPTIONS"})


def _api_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    found = token if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
    # What is not UTF-8 is no key, but it must be possible to ask for it.
    return found.strip().encode(errors="replace").decode()


def _place(request: web.Request, domain: str | None = None, workspace: str | None = None) -> tuple[str, str]:
    domain = domain if domain is not None else request.query.get("domain", DEFAULT_PLACE)
    workspace = workspace if workspace is not None else request.query.get("workspace", DEFAULT_PLACE)
    _require_name(domain, "domain")
    _require_name(workspace, "workspace")
    return domain, workspace


def _require_name(value: str, field: str) -> None:
    if not is_name(value):
        raise HttpError("invalid_format", f"`{field}` must be 1 to 64 of A-Z a-z 0-9 _ -", 400)


def _sender(client_id: str, caller: Caller) -> str:
    if client_id:
        _require_name(client_id, "client_id")
    return client_id or caller.key_id[:64]


def _limit(request: web.Request, default: int) -> int:
    text = request.query.get("limit")
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= 1000:
        raise HttpError("invalid_format", "`limit` must be a number from 1 to 1000", 400)
    return int(text)


async def _body(request: web.Request, kind: type[T]) -> T:
    return _decode(await read_body(request), kind)


def _decode(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise HttpError("invalid_format", f"Body: {exc}", 400) from None


def _json(body: Mapping[str, Any], status: int = 200) -> web.Response:
    """Return an answer; what others have stored stands in it as they sent it, however deep or long its numbers are."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", charset="utf-8")


def _with_cursor(body: dict[str, Any], token: str) -> Mapping[str, Any]:
    return body | {"next_cursor": token or None}


def _thread(thread: threads_pb2.Thread) -> dict[str, Any]:
    last = thread.last_message_time_ms
    return {
        "thread_id": thread.thread_id,
        "title": thread.title,
        "channel": thread.channel,
        "domain": thread.domain,
        "workspace": thread.workspace,
        "created_by": thread.created_by,
        "created_at": server_frames.timestamp(thread.create_time_ms),
        "message_count": thread.message_count,
        "last_message_at": server_frames.timestamp(last) if last else None,
        "metadata": Raw(thread.metadata or b"{}"),
    }


def _message(message: Any) -> dict[str, Any]:
    return {
        "type": message.type,
        "id": message.id,
        "channel": message.topic.split("/", 2)[2],
        "epoch": message.epoch,
        "offset": message.offset,
        "timestamp": server_frames.timestamp(message.time_ms),
        "client_id": message.client_id,
        "data": Raw(message.data),
    }
