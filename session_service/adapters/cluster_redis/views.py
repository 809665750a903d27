"""What watchers have been told of each watched topic, so that they are told every change once, however it became known.

Changes are published. After a time in which they could not be heard the hash is read, and what differs is told. Redis may
have come back without what it knew, and other services then need a moment to say it again: so who is missing in the hash is
told to have left only when still missing a while later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import islice
from typing import Final

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.core.errors import SessionError
from session_service.core.model import Member

log = get_logger("session_service.cluster_redis")

READS_AT_ONCE: Final = 32
RETRY_S: Final = 0.25

OnChange = Callable[[str, Member, bool], None]
ReadPresence = Callable[[str], Awaitable[Mapping[str, Member]]]


class _View:
    """`known`: who was last told to be present; None: not read yet. `touched`: changes heard while it was read."""

    __slots__ = ("known", "reading", "touched")

    def __init__(self) -> None:
        self.known: dict[str, Member] | None = None
        self.touched: dict[str, Member | None] = {}
        self.reading = False


class PresenceViews:
    """Tells watchers.

    Args:
        read: Reads who is present in a topic, as the hash says.
        on_change: Told of each change: topic, who, joined or left.
        patience_s: Seconds after which who is still missing has left.
    """

    def __init__(self, read: ReadPresence, on_change: OnChange, *, patience_s: float) -> None:
        self._read = read
        self._on_change = on_change
        self._patience_s = patience_s
        self._views: dict[str, _View] = {}
        self._due: dict[str, bool] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read what is due."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Read and tell nothing more. Idempotent."""
        for topic in list(self._views):
            self.end(topic)
        if self._task is not None:
            await end_tasks(self._task)

    def begin(self, topic: str) -> None:
        """Tell changes of a topic from now on. Idempotent."""
        if topic not in self._views:
            self._views[topic] = _View()
            self._want(topic, complete=True)

    def end(self, topic: str) -> None:
        """Tell nothing more of a topic. Idempotent."""
        self._views.pop(topic, None)
        self._due.pop(topic, None)
        timer = self._timers.pop(topic, None)
        if timer is not None:
            timer.cancel()

    def heard(self, topic: str, *, again: bool) -> None:
        """Look what changed while a topic was not heard.

        Args:
            topic: The topic.
            again: It was heard before; perhaps Redis has come back.
        """
        view = self._views.get(topic)
        if view is None:
            return
        be_patient = again and view.known is not None
        self._want(topic, complete=not be_patient)
        if be_patient and topic not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[topic] = loop.call_later(self._patience_s, partial(self._look_for_leavers, topic))

    def change(self, topic: str, member: Member, *, joined: bool) -> None:
        """Take a change that was published."""
        view = self._views.get(topic)
        if view is None:
            return
        if view.reading:
            view.touched[member.client_id] = member if joined else None
        if view.known is None:
            self._on_change(topic, member, joined)
        else:
            self._tell(topic, view.known, member, joined=joined)

    def _look_for_leavers(self, topic: str) -> None:
        self._timers.pop(topic, None)
        self._want(topic, complete=True)

    def _want(self, topic: str, *, complete: bool) -> None:
        self._due[topic] = complete or self._due.get(topic, False)
        self._wanted.set()

    def _tell(self, topic: str, known: dict[str, Member], member: Member, *, joined: bool) -> None:
        if joined is (member.client_id in known):
            return
        if joined:
            known[member.client_id] = member
        else:
            del known[member.client_id]
        self._on_change(topic, member, joined)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            due = list(islice(self._due.items(), READS_AT_ONCE))
            for topic, _ in due:
                del self._due[topic]
            if not self._due:
                self._wanted.clear()
            await asyncio.gather(*(self._look(topic, complete=complete) for topic, complete in due))

    async def _look(self, topic: str, *, complete: bool) -> None:
        view = self._views.get(topic)
        if view is None:
            return
        view.reading = True
        view.touched.clear()
        try:
            found = await self._read(topic)
        except SessionError as error:
            log.warning("presence is not read yet", error=str(error))
            asyncio.get_running_loop().call_later(RETRY_S, self._look_again, topic, complete)
        else:
            if self._views.get(topic) is view:
                self._compare(topic, view, found, complete=complete)
        finally:
            view.reading = False

    def _look_again(self, topic: str, complete: bool) -> None:
        if topic in self._views:
            self._want(topic, complete=complete)

    def _compare(self, topic: str, view: _View, found: Mapping[str, Member], *, complete: bool) -> None:
        """Take what was read, but for those of whom something was heard meanwhile: that is newer."""
        if view.known is None:
            view.known = {**found}
            for client_id, member in view.touched.items():
                view.known.pop(client_id, None)
                if member is not None:
                    view.known[client_id] = member
            return
        known = view.known
        for client_id, member in found.items():
            if client_id not in view.touched:
                self._tell(topic, known, member, joined=True)
        if complete:
            missing = [member for client_id, member in known.items() if client_id not in found]
            for member in missing:
                if member.client_id not in view.touched:
                    self._tell(topic, known, member, joined=False)
