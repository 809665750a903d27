"""The watch of key changes: one stream that stays open, and knows when it last heard anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import grpc
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from service_runtime.logs import get_logger
from tidewire_client.retry import backoff_s
from tidewire_client.verdict import VerdictCode, code_of

log = get_logger("tidewire_client.key_watch")


class KeyChanged(NamedTuple):
    """A key changed: `code` is the verdict on the key as such from now on."""

    key_id: str
    code: VerdictCode
    revision: int


class WatchListener(Protocol):
    """Who acts on changes."""

    def key_changed(self, change: KeyChanged) -> None:
        """Act on one change."""

    def lost(self) -> None:
        """Forget what is known: changes were missed. `resync` follows when the watch is on again."""

    def resync(self, revision: int) -> None:
        """Act on changes that may have been missed: from `revision` on none will be."""

    def silent(self) -> None:
        """Trust the connection under the stream no longer: nothing has come over it for too long."""


class KeyWatch:
    """Watches key changes until it is stopped.

    Args:
        stub: Returns the auth service, over the connection that is trusted now.
        metadata: The caller's credential.
        listener: Who acts on changes.
        silence_s: A stream that says nothing for this long, in seconds, is given up and opened anew.
        monotonic: Returns seconds of a clock that never goes back.
    """

    def __init__(
        self,
        stub: Callable[[], auth_pb2_grpc.AuthServiceStub],
        metadata: tuple[tuple[str, str], ...],
        listener: WatchListener,
        *,
        silence_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._listener = listener
        self._silence_s = silence_s
        self._monotonic = monotonic
        self._revision = 0
        self._heard_at: float | None = None
        self._must_resync = False
        self.broken = True
        self.reopened = 0
        self.silences = 0
        self.changes = 0
        self.resyncs = 0

    @property
    def fresh(self) -> bool:
        """The stream has said something within its bound: what is cached may be used."""
        heard_at = self._heard_at  # Asked for with each use of a key: not one call more than needed.
        return heard_at is not None and self._monotonic() - heard_at < self._silence_s

    def silent_for_s(self) -> float:
        """Return the seconds since the stream last said anything; infinite before the first time."""
        return float("inf") if self._heard_at is None else self._monotonic() - self._heard_at

    async def run(self) -> None:
        """Watch for ever."""
        attempt = 0
        while True:
            heard_before = self._heard_at
            try:
                await self._watch_once()
                cause = "the auth service ended the stream"
            except grpc.aio.AioRpcError as exc:
                cause = exc.code().name
            except TimeoutError:
                cause = f"silent for {self._silence_s} s"
                self.silences += 1
                self._listener.silent()
            except Exception as exc:
                # Whoever listens has a defect. It must not end the watch: what it missed by it, it is told as a resync.
                log.exception("a change of a key could not be acted on", exc_info=exc)
                cause = "defect"
                self._must_resync = True
            self.broken = True
            attempt = 0 if self._heard_at != heard_before else attempt + 1
            if attempt in (0, 1):
                log.warning("watch of key changes is interrupted", cause=cause)
            self.reopened += 1
            await asyncio.sleep(backoff_s(attempt))

    async def _watch_once(self) -> None:
        # A stream from now on says nothing of what changed before it began: what is known by then is checked again.
        self._must_resync = self._must_resync or not self._revision
        call: Any = self._stub().WatchKeys(
            auth_pb2.WatchKeysRequest(from_revision=self._revision), metadata=self._metadata
        )
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    response = await call.read()
                if response is grpc.aio.EOF:
                    return
                self._take(response)
        finally:
            call.cancel()

    def _take(self, response: auth_pb2.WatchKeysResponse) -> None:
        kind = response.WhichOneof("event")
        if self._must_resync and kind == "checkpoint":
            self._must_resync = False
            self.resyncs += 1
            self._listener.resync(response.checkpoint.revision)
        if kind == "checkpoint":
            self._revision = max(self._revision, response.checkpoint.revision)
        elif kind == "change":
            change = response.change
            self.changes += 1
            self._revision = max(self._revision, change.revision)
            self._listener.key_changed(KeyChanged(change.key_id, code_of(change.code), change.revision))
        elif kind == "resync_required":
            self._revision = 0
            self._listener.lost()
        self._heard_at = self._monotonic()
        self.broken = False
