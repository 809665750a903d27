"""An auth service that answers as told, holds answers back, and tells of changes when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from service_runtime.grpc_errors import abort

GOOD_KEY = "good-key"
WRONG_KEY = "wrong-key"
BAD_DOMAIN = "bad domain"


def verdict(code: int, **more: Any) -> auth_pb2.Verdict:
    return auth_pb2.Verdict(code=code, **more)


class AuthPeer(auth_pb2_grpc.AuthServiceServicer):
    """Knows `good-key` and every key that begins with it; its key id is `k1`."""

    def __init__(self) -> None:
        self.revision = 1
        self.code = auth_pb2.VERDICT_CODE_VALID
        self.batches: list[list[str]] = []
        self.checks: list[str] = []
        self.watches: list[int] = []
        self.away = False
        self.refuses_caller = False
        self.drop_answers = False
        self.ttl_s = 5
        self.more: dict[str, Any] = {}
        self.uses_left: int | None = None
        self.asked_for: list[auth_pb2.VerifyKeyRequest] = []
        self.introspected: list[auth_pb2.IntrospectKeyRequest] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self._watchers: list[asyncio.Queue[auth_pb2.WatchKeysResponse | None]] = []

    # What tests do.

    def change(self, code: int, key_id: str = "k1") -> None:
        """Change the key: verdicts and watchers know it from now on."""
        self.revision += 1
        self.code = code
        self.tell(auth_pb2.WatchKeysResponse(change=self.change_event(code, key_id)))

    def tell_ahead(self) -> None:
        """Tell watchers of a change that verdicts do not know of before `revision` is one higher."""
        change = auth_pb2.KeyChange(key_id="k1", code=self.code, revision=self.revision + 1)
        self.tell(auth_pb2.WatchKeysResponse(change=change))

    def change_event(self, code: int, key_id: str = "k1") -> auth_pb2.KeyChange:
        return auth_pb2.KeyChange(key_id=key_id, code=code, revision=self.revision)

    def tell(self, event: auth_pb2.WatchKeysResponse) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)

    def end_watches(self) -> None:
        """End every stream of changes."""
        for watcher in self._watchers:
            watcher.put_nowait(None)

    # The service.

    async def VerifyKeys(self, request: auth_pb2.VerifyKeysRequest, context: Any) -> auth_pb2.VerifyKeysResponse:  # noqa: N802
        self.batches.append([one.api_key for one in request.requests])
        self.asked_for.extend(request.requests)
        answers = [self._charged(self._verdict(one.api_key)) for one in request.requests]
        await self._pause(context)
        if any(one.domain == BAD_DOMAIN for one in request.requests):
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "auth.tidewire", "domain")
        return auth_pb2.VerifyKeysResponse(verdicts=answers[1:] if self.drop_answers else answers)

    async def IntrospectKey(  # noqa: N802
        self, request: auth_pb2.IntrospectKeyRequest, context: Any
    ) -> auth_pb2.IntrospectKeyResponse:
        self.introspected.append(request)
        await self._pause(context)
        return auth_pb2.IntrospectKeyResponse(verdict=self._verdict(request.api_key))

    async def CheckPermission(  # noqa: N802
        self, request: auth_pb2.CheckPermissionRequest, context: Any
    ) -> auth_pb2.CheckPermissionResponse:
        self.checks.append(f"{request.action}:{request.channel}")
        allowed = request.channel != "secret"
        code = self.code if allowed else auth_pb2.VERDICT_CODE_INSUFFICIENT_PERMISSIONS
        answer = verdict(code, key_id=request.key_id, revision=self.revision, cache_ttl={"seconds": self.ttl_s})
        await self._pause(context)
        return auth_pb2.CheckPermissionResponse(verdict=answer)

    async def WatchKeys(  # noqa: N802
        self, request: auth_pb2.WatchKeysRequest, context: Any
    ) -> AsyncIterator[auth_pb2.WatchKeysResponse]:
        self.watches.append(request.from_revision)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        queue: asyncio.Queue[auth_pb2.WatchKeysResponse | None] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            yield auth_pb2.WatchKeysResponse(checkpoint=auth_pb2.Checkpoint(revision=self.revision))
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watchers.remove(queue)

    async def _pause(self, context: Any) -> None:
        if self.refuses_caller:
            await abort(context, grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN", "auth.tidewire", "who are you")
        self.asked.set()
        await self.gate.wait()
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    def _verdict(self, api_key: str) -> auth_pb2.Verdict:
        ttl = {"seconds": self.ttl_s}
        if not api_key.startswith(GOOD_KEY):
            return verdict(auth_pb2.VERDICT_CODE_NOT_FOUND, cache_ttl=ttl)
        return verdict(self.code, key_id="k1", owner="ann", revision=self.revision, cache_ttl=ttl, **self.more)

    def _charged(self, answer: auth_pb2.Verdict) -> auth_pb2.Verdict:
        """Charge a use, where uses are counted."""
        if self.uses_left is None or answer.code != auth_pb2.VERDICT_CODE_VALID:
            return answer
        if not self.uses_left:
            return verdict(auth_pb2.VERDICT_CODE_USAGE_EXCEEDED, key_id="k1", revision=self.revision)
        self.uses_left -= 1
        answer.remaining_uses = self.uses_left
        return answer
