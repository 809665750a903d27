"""What comes and goes while messages flow: connections, memberships, keys."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from contextlib import AbstractAsyncContextManager

from tests.soak.beside import beside
from tests.soak.traffic import KEY, Traffic
from tests.stress.caller import Caller, Ended, Refused
from tests.support.key_admin import KeyAdmin
from tests.support.waiting import eventually

# As many side channels as are used in turn: more and more would be growth that is asked for.
SIDE_CHANNELS = 50
VISITORS = 10
GOOD_BYE_DEADLINE_S = 10.0


class Churn:
    """Does one of each kind every so often.

    Attributes:
        done: How often each was done.
        faults: What must not be, by kind.

    Args:
        traffic: Whose members lose their connections.
        address: Of the edge.
        admin: Makes and ends keys.
        pause_s: Seconds between two of a kind.
    """

    def __init__(self, traffic: Traffic, address: str, admin: KeyAdmin, pause_s: float) -> None:
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._traffic = traffic
        self._address = address
        self._admin = admin
        self._pause_s = pause_s
        self._rng = random.Random(5)

    def going_on(self) -> AbstractAsyncContextManager[None]:
        """Do it while something else is done."""
        return beside(self._run(), "the churn")

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connections())
            tasks.create_task(self._memberships())
            tasks.create_task(self._keys())

    async def _connections(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            self.done["connections lost"] += self._rng.choice(self._traffic.herd.clients).lose()

    async def _memberships(self) -> None:
        """One client joins side channels and leaves them; the other side of it are channels that come to life and go."""
        for number in itertools.count():
            await asyncio.sleep(self._pause_s)
            channel = f"side-{number % SIDE_CHANNELS}"
            visitor = f"visits-{number % VISITORS}"
            try:
                caller = await Caller.open(self._address, KEY, self._traffic.workspace, visitor, channels=[channel])
                try:
                    await caller.publish(channel, "here")
                    await caller.ask("leave_channel", {"channel": channel}, until="unsubscription_success")
                finally:
                    caller.drop()
            except (Refused, Ended, OSError, TimeoutError) as problem:
                self.faults[f"a visit failed: {problem!r}"] += 1
            self.done["channels joined and left"] += 1

    async def _keys(self) -> None:
        """Keys are made, used, and end in turn by each way; who uses one is let go with 4000."""
        for number in itertools.count():
            await asyncio.sleep(self._pause_s)
            ends = (self._admin.revoke, self._admin.disable, self._admin.delete)
            end = ends[number % len(ends)]
            key = await asyncio.to_thread(self._admin.create)
            user = f"uses-{number % VISITORS}"
            try:
                caller = await Caller.open(self._address, key.api_key, self._traffic.workspace, user)
                try:
                    await asyncio.to_thread(end, key)
                    await self._let_go(caller)
                finally:
                    caller.drop()
            except (Refused, Ended, OSError, TimeoutError) as problem:
                self.faults[f"a key failed: {problem!r}"] += 1
            if end != self._admin.delete:
                await asyncio.to_thread(self._admin.delete, key)
            self.done["keys made and ended"] += 1

    async def _let_go(self, caller: Caller) -> None:
        async def gone() -> bool:
            return caller.client.ended

        with contextlib.suppress(AssertionError):
            await eventually(gone, GOOD_BYE_DEADLINE_S)
        if caller.client.close_code != 4000:
            self.faults[f"a key ended with {caller.client.close_code}"] += 1
