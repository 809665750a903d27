from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from service_runtime.grpc_channel import bearer, open_channel
from tests.support.waiting import eventually
from tests.unit.tidewire_client.auth_peer import AuthPeer
from tests.unit.tidewire_client.peers import serving_auth
from tidewire_client.key_watch import KeyChanged, KeyWatch
from tidewire_client.verdict import VerdictCode


class Listener:
    """Notes what it is told, and can have a defect."""

    def __init__(self) -> None:
        self.changes: list[KeyChanged] = []
        self.resyncs = 0
        self.resynced_at: list[int] = []
        self.silences = 0
        self.losses = 0
        self.defects = 0

    def key_changed(self, change: KeyChanged) -> None:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect")
        self.changes.append(change)

    def lost(self) -> None:
        self.losses += 1

    def resync(self, revision: int) -> None:
        self.resyncs += 1
        self.resynced_at.append(revision)

    def silent(self) -> None:
        self.silences += 1


@asynccontextmanager
async def watching(peer: AuthPeer, listener: Listener, silence_s: float = 30.0) -> AsyncIterator[KeyWatch]:
    async with serving_auth(peer) as target:
        channel = open_channel(target)
        watch = KeyWatch(
            lambda: auth_pb2_grpc.AuthServiceStub(channel),
            bearer("t"),
            listener,
            silence_s=silence_s,
            monotonic=time.monotonic,
        )
        task = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await channel.close()


async def until(condition: object) -> None:
    async def holds() -> bool:
        return bool(condition())  # type: ignore[operator]

    await eventually(holds)


async def test_before_the_first_word_nothing_is_fresh() -> None:
    peer = AuthPeer()
    peer.away = True
    async with watching(peer, Listener()) as watch:
        await until(lambda: watch.reopened >= 2)
        assert watch.broken
        assert not watch.fresh
        assert watch.silent_for_s() == float("inf")
        peer.away = False
        await until(lambda: watch.fresh)
        assert not watch.broken


async def test_every_change_is_told_in_order() -> None:
    peer, listener = AuthPeer(), Listener()
    async with watching(peer, listener) as watch:
        await until(lambda: watch.fresh)
        peer.change(auth_pb2.VERDICT_CODE_DISABLED)
        peer.change(auth_pb2.VERDICT_CODE_VALID)
        peer.change(99)
        await until(lambda: len(listener.changes) == 3)
        assert [change.code for change in listener.changes] == [
            VerdictCode.DISABLED,
            VerdictCode.VALID,
            VerdictCode.UNSPECIFIED,
        ]
        assert [change.revision for change in listener.changes] == [2, 3, 4]
        assert watch.changes == 3


async def test_a_silent_stream_is_given_up_and_opened_anew() -> None:
    peer, listener = AuthPeer(), Listener()
    async with watching(peer, listener, silence_s=0.2) as watch:
        await until(lambda: watch.reopened >= 2)
        assert listener.silences == watch.silences >= 2
        assert listener.resynced_at == [1]
        assert len(peer.watches) >= 2
        assert peer.watches[1:] == [1] * len(peer.watches[1:])


async def test_after_a_resync_it_watches_from_now_on() -> None:
    peer, listener = AuthPeer(), Listener()
    async with watching(peer, listener) as watch:
        await until(lambda: watch.fresh)
        peer.tell(auth_pb2.WatchKeysResponse(resync_required=auth_pb2.ResyncRequired()))
        peer.end_watches()
        await until(lambda: len(peer.watches) == 2)
        assert peer.watches == [0, 0]
        await until(lambda: listener.resyncs == 2)
        assert (listener.losses, watch.resyncs) == (1, 2)


async def test_a_defect_of_the_listener_does_not_end_the_watch_and_is_made_good_by_a_resync() -> None:
    peer, listener = AuthPeer(), Listener()
    listener.defects = 1
    async with watching(peer, listener) as watch:
        await until(lambda: watch.fresh)
        peer.change(auth_pb2.VERDICT_CODE_REVOKED)
        await until(lambda: listener.resyncs == 2)
        peer.change(auth_pb2.VERDICT_CODE_VALID)
        await until(lambda: listener.changes)
        assert listener.changes == [KeyChanged("k1", VerdictCode.VALID, 3)]
