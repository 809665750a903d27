"""A gRPC channel whose TLS files may change while it is open: calls begin on a channel that was opened with the present ones.

gRPC gives a channel its certificates once. So behind this one there is a plain channel, and another takes its place when
the files have changed. Calls under way, streams above all, stay where they began; a channel that was replaced is closed
when its last call ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc

from service_runtime.tls_files import TlsContent, TlsFiles, WatchedTls

CHECK_INTERVAL_S: Final = 1.0

OpenWith = Callable[[TlsContent], grpc.aio.Channel]


class ReloadingChannel(grpc.aio.Channel):
    """A channel that follows its files.

    Args:
        files: Looked at when a call begins, once in `check_interval_s` at most.
        open_with: Opens a plain channel with what the files hold.
        check_interval_s: In seconds.

    Raises:
        TlsFilesError: The files cannot be used now, at the beginning.
    """

    def __init__(self, files: TlsFiles, open_with: OpenWith, *, check_interval_s: float = CHECK_INTERVAL_S) -> None:
        self._watched = WatchedTls(files, interval_s=check_interval_s)
        self._open_with = open_with
        self._check_interval_s = check_interval_s
        self._present = _Generation(open_with(self._watched.content))
        self._replaced: set[_Generation] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def present(self) -> _Generation:
        """Return the channel on which a call is to begin now."""
        if self._closed:
            return self._present
        content = self._watched.renewed()
        if content is not None:
            before, self._present = self._present, _Generation(self._open_with(content))
            self._replaced.add(before)
            before.when_unused(lambda: self._discard(before))
        return self._present

    def unary_unary(self, *arguments: Any, **more: Any) -> Any:
        """Return what begins calls of a method."""
        return _Method(self, lambda channel: channel.unary_unary(*arguments, **more))

    def unary_stream(self, *arguments: Any, **more: Any) -> Any:
        """Return what begins calls of a method."""
        return _Method(self, lambda channel: channel.unary_stream(*arguments, **more))

    def stream_unary(self, *arguments: Any, **more: Any) -> Any:
        """Return what begins calls of a method."""
        return _Method(self, lambda channel: channel.stream_unary(*arguments, **more))

    def stream_stream(self, *arguments: Any, **more: Any) -> Any:
        """Return what begins calls of a method."""
        return _Method(self, lambda channel: channel.stream_stream(*arguments, **more))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection on which calls begin."""
        return self.present().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return when the state is another one."""
        await self.present().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Return when a connection stands, also if it takes files that come only while this waits."""
        while True:
            channel = self.present().channel
            try:
                async with asyncio.timeout(self._check_interval_s):
                    await channel.channel_ready()
            except TimeoutError:
                continue
            return

    async def close(self, grace: float | None = None) -> None:
        """Close it, and whatever calls are still under way. Idempotent.

        Args:
            grace: Time that calls may take to end, in seconds; None: none.
        """
        self._closed = True
        every = [self._present, *self._replaced]
        await asyncio.gather(*(one.channel.close(grace) for one in every), *self._closing)

    async def __aenter__(self) -> ReloadingChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _discard(self, generation: _Generation) -> None:
        self._replaced.discard(generation)
        if not self._closed:
            task = asyncio.get_running_loop().create_task(generation.channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Generation:
    """A plain channel, and how many of its calls are under way."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._calls = 0
        self._unused: Callable[[], None] | None = None

    def begun(self, call: grpc.aio.Call) -> None:
        """Count a call until it ends."""
        self._calls += 1
        call.add_done_callback(self._ended)

    def when_unused(self, then: Callable[[], None]) -> None:
        """Do something once no call is under way; no call may begin any more."""
        self._unused = then
        self._tell()

    def _ended(self, _: object) -> None:
        self._calls -= 1
        self._tell()

    def _tell(self) -> None:
        if self._unused is not None and self._calls == 0:
            then, self._unused = self._unused, None
            then()


class _Method:
    """Begins calls of one method, each on the channel of the moment."""

    def __init__(self, owner: ReloadingChannel, of: Callable[[grpc.aio.Channel], Callable[..., Any]]) -> None:
        self._owner = owner
        self._of = of
        self._generation: _Generation | None = None
        self._begin: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        generation = self._owner.present()
        if self._begin is None or generation is not self._generation:
            self._generation, self._begin = generation, self._of(generation.channel)
        call = self._begin(*arguments, **more)
        generation.begun(call)
        return call
