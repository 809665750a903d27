"""A cheap client that asks and is answered: many questions may be under way at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from tests.stress.raw_client import RawClient, ServerFrame

DEADLINE_S = 30.0
MESSAGE = "chat_message"


class Refused(Exception):
    """An `error` frame.

    Args:
        frame: The frame.
    """

    def __init__(self, frame: ServerFrame) -> None:
        self.data: dict[str, Any] = frame.data
        super().__init__(f"{frame.data['error_type']} {frame.data['code']}: {frame.data['message']}")

    @property
    def safe_to_repeat(self) -> bool:
        """Whether the server says that nothing is done twice if it is asked again."""
        return bool(self.data.get("details", {}).get("safe_to_repeat"))


class Ended(Exception):
    """The connection is over, and a question has no answer."""


class Caller:
    """One connection; `open` makes it.

    Attributes:
        goodbye: The `data` of the server's `disconnect`; None: none came.
    """

    def __init__(self, on_message: Callable[[ServerFrame], None]) -> None:
        self.goodbye: dict[str, Any] | None = None
        self.client: RawClient
        self._established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_message = on_message
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[str, asyncio.Future[ServerFrame]]] = {}

    @classmethod
    async def open(
        cls,
        address: str,
        api_key: str,
        workspace: str,
        client_id: str,
        on_message: Callable[[ServerFrame], None] = lambda _: None,
        *,
        channels: Sequence[str] = (),
        receive_buffer: int = 0,
    ) -> Caller:
        """Connect, authenticate, and join channels.

        Raises:
            OSError: There is no connection.
            Refused: The edge says why not.
            Ended: The edge closed the connection instead.
        """
        caller = cls(on_message)
        try:
            caller.client = await RawClient.open(
                address, client_id, caller._on_frame, caller._on_end, receive_buffer=receive_buffer
            )
        except BaseException:
            caller._established.cancel()  # nobody waits for it any more
            raise
        try:
            await caller._established
            data = {"api_key": api_key, "connection_type": "chat", "domain": "tests", "workspace": workspace}
            await caller.ask("connect", data)
            for channel in channels:
                await caller.join(channel)
        except BaseException:
            caller.drop()
            raise
        return caller

    def begin(
        self, frame_type: str, data: Any, *, until: str = "message_delivered", frame_id: str = "", **envelope: Any
    ) -> asyncio.Future[ServerFrame]:
        """Ask, and return what will have the answer: a frame of type `until`, or Refused or Ended.

        Args:
            frame_type: Of the question.
            data: Of the question.
            until: The type of the answer.
            frame_id: Of the question; empty: any.
            envelope: More of the frame.
        """
        frame_id = frame_id or f"{self.client.client_id}-{next(self._numbers)}"
        answer: asyncio.Future[ServerFrame] = asyncio.get_running_loop().create_future()
        if self.client.ended:
            answer.set_exception(Ended())
        else:
            self._waiting[frame_id] = (until, answer)
            self.client.send(frame_type, data, id=frame_id, **envelope)
        return answer

    async def ask(self, frame_type: str, data: Any, **more: Any) -> ServerFrame:
        """Ask and wait; see `begin`."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.begin(frame_type, data, **more)

    async def join(self, channel: str, **more: Any) -> ServerFrame:
        """Join, and return `subscription_success`."""
        return await self.ask("join_channel", {"channel": channel, **more}, until="subscription_success")

    def publish(self, channel: str, content: Any, frame_id: str = "") -> asyncio.Future[ServerFrame]:
        """Publish a message, and return what will have its confirmation."""
        return self.begin(MESSAGE, {"content": content}, channel=channel, frame_id=frame_id)

    def drop(self) -> None:
        """End it without a word."""
        self.client.drop()

    @property
    def unanswered(self) -> int:
        """How many questions have no answer yet."""
        return len(self._waiting)

    def _on_frame(self, client: RawClient, frame: ServerFrame) -> None:
        if frame.type == MESSAGE:
            self._on_message(frame)
        elif frame.type == "connection_established":
            self._established.set_result(None)
        elif frame.type == "disconnect":
            self.goodbye = frame.data
        else:
            self._answered(frame)

    def _answered(self, frame: ServerFrame) -> None:
        until, answer = self._waiting.get(frame.id, ("", None))
        if answer is None or frame.type not in (until, "error"):
            return
        del self._waiting[frame.id]
        if answer.done():  # whoever asked has given up
            return
        if frame.type == "error":
            answer.set_exception(Refused(frame))
        else:
            answer.set_result(frame)

    def _on_end(self, client: RawClient) -> None:
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            if not answer.done():
                answer.set_exception(Ended())
        if not self._established.done():
            self._established.set_exception(Ended())
