"""What is done to the system during a run: processes killed, connections cut; and a list of what was done when."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.ledger.system import Victim
from tests.ledger.threads import in_thread
from tests.support.tcp_proxy import TcpProxy

# One in three is of the other kind: the connection stays open, and nothing arrives.
CUTS: Final = ("cut", "cut", "swallow")
# So much longer does it last, for a client finds out only by a ping that is not answered.
SWALLOW_LASTS: Final = 4


@dataclass(frozen=True)
class Event:
    """Something that was done.

    Args:
        at_s: When, in seconds from the start of the run.
        what: `kill`, `freeze`, `renew`, `cut`, `swallow`, or `fell`: a process that had ended by itself.
        whom: A process, or doors of the proxy.
        back_s: When it was over.
    """

    at_s: float
    what: str
    whom: str
    back_s: float


class Chaos:
    """Kills and cuts, until it is cancelled.

    Args:
        elapsed_s: Seconds from the start of the run.
        rng: Chooses.
        sleep: Waits, in seconds of that clock.
    """

    def __init__(
        self,
        elapsed_s: Callable[[], float],
        rng: random.Random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.events: list[Event] = []
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._rng = rng

    async def kill(
        self, victims: Sequence[Victim], every_s: float, at_once: int, freeze_s: float, until_s: float
    ) -> None:
        """Kill random processes every `every_s` seconds, and start them again at once, the last by `until_s`.

        All are drawn before one is drawn again, so that none is spared by chance; nor by time, on a machine where a start
        takes so long that it goes on beyond `until_s` until each was drawn once.

        Args:
            at_once: How many each time.
            freeze_s: Every second time they are not killed, but frozen for so long; 0: never.
        """
        drawn, spared, at_s = self._draw(victims), {victim.name for victim in victims}, every_s
        for freezing in itertools.cycle((False, freeze_s > 0)):
            if at_s > until_s and not spared:
                return
            await self._sleep(at_s - self._elapsed_s())
            chosen = {victim.name: victim for victim in itertools.islice(drawn, at_once)}
            spared -= chosen.keys()
            await asyncio.gather(
                *[self._freeze_one(each, freeze_s) if freezing else self._kill_one(each) for each in chosen.values()]
            )
            at_s += every_s * math.ceil(max(1.0, (self._elapsed_s() - at_s) / every_s))

    def _draw(self, victims: Sequence[Victim]) -> Iterator[Victim]:
        while True:
            yield from self._rng.sample(victims, len(victims))

    async def renew(self, victims: Sequence[Victim], every_s: float) -> None:
        """Stop every process in order, and start its next version, one after the other in random order.

        Args:
            every_s: Seconds between the start of one and the end of the next.
        """
        for victim in self._rng.sample(victims, len(victims)):
            await self._sleep(every_s)
            at_s = self._elapsed_s()
            await in_thread(victim.renew)
            self.events.append(Event(at_s, "renew", victim.name, self._elapsed_s()))

    async def _kill_one(self, victim: Victim) -> None:
        at_s, what = self._elapsed_s(), "kill" if victim.runs() else "fell"
        await in_thread(victim.crash)
        self.events.append(Event(at_s, what, victim.name, self._elapsed_s()))

    async def _freeze_one(self, victim: Victim, for_s: float) -> None:
        at_s = self._elapsed_s()
        victim.freeze()
        try:
            await self._sleep(for_s)
        finally:
            victim.thaw()
        self.events.append(Event(at_s, "freeze", victim.name, self._elapsed_s()))

    async def cut(self, proxy: TcpProxy, fraction: float, for_s: float, until_s: float) -> None:
        """Cut a fraction of the clients for `for_s` seconds, leave all in peace for as long, and so on.

        The last is over by `until_s`; but `CUTS` are all done once, however long that takes.
        """
        acts = {"cut": proxy.cut, "swallow": proxy.swallow_downstream}
        for number, what in enumerate(itertools.cycle(CUTS)):
            at_s, lasts_s = self._elapsed_s(), for_s * (SWALLOW_LASTS if what == "swallow" else 1)
            if at_s + lasts_s > until_s and number >= len(CUTS):
                return
            doors = await in_thread(acts[what], fraction)
            await self._sleep(lasts_s)
            await in_thread(proxy.restore)
            self.events.append(Event(at_s, what, f"doors {doors}", self._elapsed_s()))
            await self._sleep(for_s)

    async def raise_the_fallen(self, victims: Sequence[Victim]) -> None:
        """Start again what ended by itself, and note it: nothing may."""
        for victim in victims:
            if not victim.runs():
                await self._kill_one(victim)
