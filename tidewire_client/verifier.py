"""Verification of keys: cached under a watch, one call for many askers, honest about an auth service that is away.

A verdict that is cached is used while the watch of key changes is fresh. When the watch is silent for too long, every use is
verified again; when the auth service cannot be reached, keys that are known to be good go on for a bounded time, and unknown
ones raise. Never does an unknown key pass.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final

import grpc
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from service_runtime.grpc_channel import ClientTls, bearer, open_channel
from service_runtime.tasks import end_tasks
from tidewire_client.errors import ServiceTimeout, ServiceUnavailable, from_rpc
from tidewire_client.key_watch import KeyChanged, KeyWatch
from tidewire_client.retry import call_with_retry
from tidewire_client.verdict import Verdict, VerdictCode, verdict_of
from tidewire_client.verdict_cache import VerdictCache

__all__ = ["KeyChanged", "KeyVerifier", "VerifierStats"]

# As long as the longest key that the auth service knows: what is longer is none, and not worth a place in a batch.
MAX_KEY_CHARS: Final = 128
MAX_BATCH: Final = 256
MAX_WAITING: Final = 10_000
MAX_REPEATS: Final = 5

Asked = tuple[auth_pb2.VerifyKeyRequest, "asyncio.Future[Verdict]"]


@dataclass(slots=True)
class VerifierStats:
    """What happened since the start; read when metrics are scraped."""

    hits: int = 0
    misses: int = 0
    calls: int = 0
    batched: int = 0
    stale_uses: int = 0
    refused_unavailable: int = 0
    fills_rejected: int = 0
    changes: int = 0
    resyncs: int = 0


class KeyVerifier:
    """The client of the auth service for whoever lets key holders in.

    Args:
        auth_target: gRPC target of the auth services.
        service_token: The caller's credential.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each verification, retries included, in seconds; an attempt gets half of it, so that an auth service
            that hangs is not the only one that is asked.
        cache_size: Verdicts kept at most.
        stale_after_s: Silence of the watch after which cached verdicts are verified again, in seconds.
        outage_grace_s: How long keys known to be good go on while the auth service is away, in seconds.
        on_change: Called for each change of a key.
        on_resync: Called when changes may have been missed.
        now: Returns seconds since the Unix epoch.
        monotonic: Returns seconds of a clock that never goes back.
    """

    def __init__(
        self,
        auth_target: str,
        *,
        service_token: str,
        credentials: ClientTls | None = None,
        deadline_s: float = 2.0,
        cache_size: int = 10_000,
        stale_after_s: float = 5.0,
        outage_grace_s: float = 60.0,
        on_change: Callable[[KeyChanged], None] | None = None,
        on_resync: Callable[[], None] | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = VerifierStats()
        self._channel = open_channel(auth_target, credentials)
        self._stub = auth_pb2_grpc.AuthServiceStub(self._channel)
        self._metadata = bearer(service_token)
        self._deadline_s = deadline_s
        self._attempt_s = deadline_s / 2
        self._grace_s = stale_after_s + outage_grace_s
        self._on_change = on_change
        self._on_resync = on_resync
        self._now = now
        self._pepper = secrets.token_bytes(32)
        self._cache = VerdictCache(cache_size)
        self._flights: dict[Hashable, asyncio.Task[Verdict]] = {}
        self._queue: list[Asked] = []
        self._batch: asyncio.Task[None] | None = None
        self._watch = KeyWatch(self._stub, self._metadata, self, silence_s=stale_after_s, monotonic=monotonic)
        self._watch_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch key changes."""
        self._watch_task = asyncio.create_task(self._watch.run())

    async def close(self) -> None:
        """Stop watching, and close the channel."""
        await end_tasks(
            *(task for task in (self._watch_task, self._batch, *self._flights.values()) if task is not None)
        )
        await self._channel.close()

    @property
    def fresh(self) -> bool:
        """Cached verdicts may be used."""
        return self._watch.fresh

    async def verify(self, api_key: str, *, domain: str = "", workspace: str = "") -> Verdict:
        """Verify a key.

        Args:
            api_key: The whole key; kept nowhere, only a digest under a secret of this process.
            domain: Where it is wanted; empty: not checked.
            workspace: Where it is wanted; empty: not checked.

        Raises:
            ServiceUnavailable: The auth service is away, and the key is not known to be good.
            ServiceTimeout: It did not answer in time, and the key is not known to be good.
        """
        if len(api_key) > MAX_KEY_CHARS or not api_key.isascii():
            return Verdict(VerdictCode.NOT_FOUND)
        digest = hmac.digest(self._pepper, api_key.encode(), hashlib.sha256)
        question = (digest, domain, workspace)
        request = auth_pb2.VerifyKeyRequest(api_key=api_key, domain=domain, workspace=workspace)
        return await self._ask(question, lambda: self._verify_in_batch(request))

    async def check(self, key_id: str, action: str, channel: str, domain: str = "", workspace: str = "") -> Verdict:
        """Decide if the holder of a verified key may do something; an empty action asks only if the key is still good.

        Raises:
            ServiceUnavailable: The auth service is away, and the answer is not known.
            ServiceTimeout: It did not answer in time, and the answer is not known.
        """
        request = auth_pb2.CheckPermissionRequest(
            key_id=key_id, action=action, channel=channel, domain=domain, workspace=workspace
        )
        return await self._ask((key_id, action, channel, domain, workspace), lambda: self._check(request))

    def check_cached(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> Verdict | None:
        """Return a decision that needs no call; None if one is needed."""
        verdict = self._cache.get((key_id, action, channel, domain, workspace), self._now())
        if verdict is None:
            return None
        if self._watch.fresh or (self._watch.broken and self._may_go_on(verdict)):
            self.stats.hits += 1
            return verdict
        return None

    # Changes (KeyWatch).

    def key_changed(self, change: KeyChanged) -> None:
        """Forget what is known of a key."""
        self.stats.changes += 1
        self._cache.change(change.key_id, change.revision)
        if self._on_change is not None:
            self._on_change(change)

    def lost(self) -> None:
        """Forget all: changes were missed."""
        self._cache.clear()

    def resync(self) -> None:
        """Forget all: changes were missed."""
        self.stats.resyncs += 1
        self._cache.clear()
        if self._on_resync is not None:
            self._on_resync()

    # Asking.

    async def _ask(self, question: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        known = self._cache.get(question, self._now())
        if known is not None and self._watch.fresh:
            self.stats.hits += 1
            return known
        if known is not None and self._watch.broken and self._may_go_on(known):
            self.stats.stale_uses += 1
            return known
        self.stats.misses += 1
        flight = self._flights.get(question)
        if flight is None:
            if len(self._flights) >= MAX_WAITING:
                self.stats.refused_unavailable += 1
                raise ServiceUnavailable("too many verifications are waiting")
            flight = self._flights[question] = asyncio.ensure_future(self._fly(question, call))
        try:
            return await asyncio.shield(flight)
        except grpc.aio.AioRpcError as exc:
            if known is not None and self._may_go_on(known):
                self.stats.stale_uses += 1
                return known
            self.stats.refused_unavailable += 1
            problem = from_rpc(exc, "auth")
            if isinstance(problem, ServiceTimeout):
                raise problem from None
            raise ServiceUnavailable(str(problem), reason=problem.reason) from None

    async def _fly(self, question: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        try:
            verdict = await call()
            for _ in range(MAX_REPEATS):
                if not self._cache.outdated(verdict):
                    break
                # A change of the key overtook the answer: it must be asked for again.
                self.stats.fills_rejected += 1
                verdict = await call()
            self._cache.put(question, verdict)
            return verdict
        finally:
            del self._flights[question]

    def _may_go_on(self, known: Verdict) -> bool:
        """A key known to be good goes on for a while when the auth service is away."""
        return known.allowed and self._watch.silent_for_s() < self._grace_s

    async def _check(self, request: auth_pb2.CheckPermissionRequest) -> Verdict:
        self.stats.calls += 1
        answer = await call_with_retry(
            lambda timeout: self._stub.CheckPermission(request, metadata=self._metadata, timeout=timeout),
            self._deadline_s,
            attempt_s=self._attempt_s,
        )
        return verdict_of(answer.verdict)

    async def _verify_in_batch(self, request: auth_pb2.VerifyKeyRequest) -> Verdict:
        """Verify together with whoever asks while a batch is under way."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._queue.append((request, future))
        if self._batch is None or self._batch.done():
            self._batch = asyncio.create_task(self._run_batches())
        return await future

    async def _run_batches(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            await self._run_batch(batch)

    async def _run_batch(self, batch: list[Asked]) -> None:
        self.stats.calls += 1
        self.stats.batched += len(batch)
        request = auth_pb2.VerifyKeysRequest(requests=[one for one, _ in batch])
        try:
            answer = await call_with_retry(self._verify_call(request), self._deadline_s, attempt_s=self._attempt_s)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.INVALID_ARGUMENT and len(batch) > 1:
                # One of them is refused as such: the others must not suffer for it.
                half = len(batch) // 2
                await self._run_batch(batch[:half])
                await self._run_batch(batch[half:])
                return
            _fail(batch, exc)
            return
        if len(answer.verdicts) != len(batch):
            _fail(batch, ServiceUnavailable("the auth service did not answer every question"))
            return
        for (_, future), verdict in zip(batch, answer.verdicts, strict=True):
            if not future.done():
                future.set_result(verdict_of(verdict))

    def _verify_call(
        self, request: auth_pb2.VerifyKeysRequest
    ) -> Callable[[float], Awaitable[auth_pb2.VerifyKeysResponse]]:
        return lambda timeout: self._stub.VerifyKeys(request, metadata=self._metadata, timeout=timeout)


def _fail(batch: list[Asked], problem: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(problem)
