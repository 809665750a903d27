"""Verification of keys: cached under a watch, one call for many askers, honest about an auth service that is away.

A verdict that is cached is used while the watch of key changes is fresh. When the watch is silent for too long, every use is
verified again; when the auth service cannot be reached, keys that are known to be good go on for a bounded time, and unknown
ones raise. Never does an unknown key pass. A verdict that is good for one use only is neither cached nor shared.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final

import grpc
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from service_runtime.grpc_channel import ClientTls, bearer, open_channel
from service_runtime.tasks import end_tasks
from tidewire_client.errors import CallerNotAllowed, InvalidRequest, ServiceTimeout, ServiceUnavailable, from_rpc
from tidewire_client.flights import Flights
from tidewire_client.key_watch import KeyChanged, KeyWatch
from tidewire_client.retry import backoff_s, call_with_retry
from tidewire_client.verdict import Verdict, VerdictCode, verdict_of
from tidewire_client.verdict_cache import VerdictCache
from tidewire_client.verification_batches import VerificationBatches
from tidewire_client.verifier_stats import VerifierStats

__all__ = ["KeyChanged", "KeyVerifier", "VerifierStats"]

# As long as the longest key that the auth service knows: what is longer is none, and not worth a place in a batch.
MAX_KEY_CHARS: Final = 128
DIGEST_BYTES: Final = 16
MAX_WAITING: Final = 10_000
MAX_REPEATS: Final = 5


class KeyVerifier:
    """The client of the auth service for whoever lets key holders in.

    Args:
        auth_target: gRPC target of the auth services.
        service_token: The caller's credential: the service token, or an API key with the permissions `admin:verify`,
            `admin:check` and `admin:watch`; empty: `credentials` hold a client certificate that the service knows.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each verification, retries included, in seconds; an attempt gets half of it, so that an auth service
            that hangs is not the only one that is asked.
        cache_size: Verdicts kept at most.
        stale_after_s: Silence of the watch after which cached verdicts are verified again, in seconds.
        outage_grace_s: How long keys known to be good go on while the auth service is away, in seconds.
        on_change: Called for each change of a key.
        on_resync: Called when changes up to a revision, which it is given, may have been missed.
        now: Returns seconds since the Unix epoch.
        monotonic: Returns seconds of a clock that never goes back.
        interceptors: Run for each call, in order.
    """

    def __init__(
        self,
        auth_target: str,
        *,
        service_token: str = "",
        credentials: ClientTls | None = None,
        deadline_s: float = 2.0,
        cache_size: int = 10_000,
        stale_after_s: float = 5.0,
        outage_grace_s: float = 60.0,
        on_change: Callable[[KeyChanged], None] | None = None,
        on_resync: Callable[[int], None] | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        self.stats = VerifierStats()
        self._open = functools.partial(open_channel, auth_target, credentials, interceptors=interceptors)
        self._channel = self._open()
        self._stub = auth_pb2_grpc.AuthServiceStub(self._channel)
        self._retiring: set[asyncio.Task[None]] = set()
        self._metadata = bearer(service_token) if service_token else ()
        self._deadline_s = deadline_s
        self._attempt_s = deadline_s / 2
        self._grace_s = stale_after_s + outage_grace_s
        self._on_change = on_change
        self._on_resync = on_resync
        self._now = now
        # A copy of it takes the key in half the time that a hash made anew takes.
        self._hash = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=DIGEST_BYTES)
        self._cache = VerdictCache(cache_size)
        self._flights = Flights(MAX_WAITING)
        self._batches = VerificationBatches(self._verify_keys, self.stats)
        self._watch = KeyWatch(lambda: self._stub, self._metadata, self, silence_s=stale_after_s, monotonic=monotonic)
        self._watch_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch key changes."""
        self._watch_task = asyncio.create_task(self._watch.run())

    async def close(self) -> None:
        """Stop watching, and close the channel."""
        if self._watch_task is not None:
            await end_tasks(self._watch_task)
        await self._batches.close()
        await self._flights.close()
        await end_tasks(*self._retiring)
        await self._channel.close()

    @property
    def fresh(self) -> bool:
        """Cached verdicts may be used."""
        return self._watch.fresh

    @property
    def watch_silence_s(self) -> float:
        """Seconds since the watch of key changes last said anything; infinite before the first time."""
        return self._watch.silent_for_s()

    async def verify(
        self,
        api_key: str,
        *,
        domain: str = "",
        workspace: str = "",
        action: str = "",
        channel: str = "",
        client_address: str = "",
    ) -> Verdict:
        """Verify a key, and charge the use to it if its uses are counted.

        Args:
            api_key: The whole key; kept nowhere, only a digest under a secret of this process.
            domain: Where it is wanted; empty: not checked.
            workspace: Where it is wanted; empty: not checked.
            action: What it is wanted for; empty: not checked.
            channel: Of that action.
            client_address: The IP address that the key came from; failed attempts are counted by it. Empty: not known.

        Raises:
            ServiceUnavailable: The auth service is away, and the key is not known to be good.
            ServiceTimeout: It did not answer in time, and the key is not known to be good.
            InvalidRequest: A field breaks a rule of the contract.
            CallerNotAllowed: The credential of this client is unknown, or not good for verifying.
        """
        if len(api_key) > MAX_KEY_CHARS or not api_key.isascii():
            return Verdict(VerdictCode.NOT_FOUND)
        question = (self._digest(api_key), domain, workspace, action, channel)
        known = self._cache.get(question, self._now())
        if known is not None and self._watch.fresh:
            self.stats.hits += 1
            return known
        request = auth_pb2.VerifyKeyRequest(
            api_key=api_key,
            domain=domain,
            workspace=workspace,
            action=action,
            channel=channel,
            client_address=client_address,
        )
        return await self._verify(known, question, request)

    async def introspect(
        self,
        api_key: str,
        *,
        domain: str = "",
        workspace: str = "",
        action: str = "",
        channel: str = "",
        client_address: str = "",
    ) -> Verdict:
        """Return what `verify` would say now, asked anew each time; nothing is charged.

        Args:
            api_key: The whole key; kept nowhere.
            domain: Where it would be wanted; empty: not checked.
            workspace: Where it would be wanted; empty: not checked.
            action: What it would be wanted for; empty: not checked.
            channel: Of that action.
            client_address: The IP address that the key came from. Empty: not known.

        Raises:
            TidewireError: There is no answer.
        """
        if len(api_key) > MAX_KEY_CHARS or not api_key.isascii():
            return Verdict(VerdictCode.NOT_FOUND)
        request = auth_pb2.IntrospectKeyRequest(
            api_key=api_key,
            domain=domain,
            workspace=workspace,
            action=action,
            channel=channel,
            client_address=client_address,
        )
        self.stats.calls += 1
        try:
            answer = await self._retried("IntrospectKey", request)
        except grpc.aio.AioRpcError as exc:
            raise from_rpc(exc, "auth") from None
        return verdict_of(answer.verdict)

    async def check(self, key_id: str, action: str, channel: str, domain: str = "", workspace: str = "") -> Verdict:
        """Decide if the holder of a verified key may do something; an empty action asks only if the key is still good.

        Raises:
            ServiceUnavailable: The auth service is away, and the answer is not known.
            ServiceTimeout: It did not answer in time, and the answer is not known.
            InvalidRequest: A field breaks a rule of the contract.
            CallerNotAllowed: The credential of this client is unknown, or not good for checking.
        """
        question = (key_id, action, channel, domain, workspace)
        known = self._cache.get(question, self._now())
        if known is not None and self._watch.fresh:
            self.stats.hits += 1
            return known
        request = auth_pb2.CheckPermissionRequest(
            key_id=key_id, action=action, channel=channel, domain=domain, workspace=workspace
        )
        return await self._ask(known, question, lambda: self._answer(question, lambda: self._check(request)))

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

    def resync(self, revision: int) -> None:
        """Forget all: changes were missed."""
        self.stats.resyncs += 1
        self._cache.begin_at(revision)
        if self._on_resync is not None:
            self._on_resync(revision)

    def silent(self) -> None:
        """Ask over a new connection from now on: the one of the watch may lead nowhere."""
        self.stats.silences += 1
        old, self._channel = self._channel, self._open()
        self._stub = auth_pb2_grpc.AuthServiceStub(self._channel)
        # What is under way over the old one has its time to end.
        task = asyncio.create_task(old.close(self._deadline_s))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    # Asking.

    def _digest(self, api_key: str) -> bytes:
        hashed = self._hash.copy()
        hashed.update(api_key.encode())
        return hashed.digest()

    async def _ask(self, known: Verdict | None, flight: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        if known is not None and self._watch.broken and self._may_go_on(known):
            self.stats.stale_uses += 1
            return known
        self.stats.misses += 1
        try:
            return await self._flights.ask(flight, call)
        except grpc.aio.AioRpcError as exc:
            problem = from_rpc(exc, "auth")
        except ServiceUnavailable as exc:
            problem = exc
        if isinstance(problem, InvalidRequest):
            raise problem
        if known is not None and self._may_go_on(known):
            self.stats.stale_uses += 1
            return known
        self.stats.refused_unavailable += 1
        if isinstance(problem, ServiceTimeout | CallerNotAllowed):
            raise problem
        raise ServiceUnavailable(str(problem), reason=problem.reason)

    async def _verify(self, known: Verdict | None, question: Hashable, request: auth_pb2.VerifyKeyRequest) -> Verdict:
        flight = (question, request.client_address)
        return await self._ask(known, flight, lambda: self._answer(question, lambda: self._batches.verify(request)))

    async def _answer(self, question: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        repeats = 0
        while self._cache.outdated(verdict := await call()):
            # A change of the key overtook the answer: then the next one knows of it. Or it has not come yet to the service that
            # was asked: then another one has it, and this one soon.
            self.stats.fills_rejected += 1
            if repeats == MAX_REPEATS:
                raise ServiceUnavailable("the auth services that were asked have not heard of a change of the key")
            await asyncio.sleep(backoff_s(repeats) if repeats else 0)
            repeats += 1
        self._cache.put(question, verdict)
        return verdict

    def _may_go_on(self, known: Verdict) -> bool:
        """A key known to be good goes on for a while when the auth service is away."""
        return known.allowed and self._watch.silent_for_s() < self._grace_s

    async def _check(self, request: auth_pb2.CheckPermissionRequest) -> Verdict:
        self.stats.calls += 1
        return verdict_of((await self._retried("CheckPermission", request)).verdict)

    async def _verify_keys(self, request: auth_pb2.VerifyKeysRequest) -> auth_pb2.VerifyKeysResponse:
        answer: auth_pb2.VerifyKeysResponse = await self._retried("VerifyKeys", request)
        return answer

    async def _retried(self, method: str, request: Any) -> Any:
        """Call until there is an answer; an attempt after the connection was given up goes over the new one."""
        return await call_with_retry(
            lambda timeout_s: getattr(self._stub, method)(request, metadata=self._metadata, timeout=timeout_s),
            self._deadline_s,
            attempt_s=self._attempt_s,
        )
