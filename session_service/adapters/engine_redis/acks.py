"""What clients have seen, saved a moment later, many in one command for each channel."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from session_service.adapters.ack_values import AckKey, AckValue
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.adapters.redis_access.asking import Lanes, Reply
from session_service.adapters.redis_access.commands import ACKNOWLEDGE, MAX_NUMBER, Command, Names, Part
from session_service.core.errors import EngineUnavailable, SessionError
from session_service.core.model import Position

ACK_DELAY_S: Final = 0.05
MAX_UNSAVED_ACKS: Final = 100_000


class Acks:
    """Saves acknowledgements.

    Args:
        lanes: Where they are sent.
        names: Names of keys.
        metrics: Counters.
    """

    def __init__(self, lanes: Lanes, names: Names, metrics: EngineMetrics) -> None:
        self._lanes = lanes
        self._names = names
        self._metrics = metrics
        self._unsaved: dict[AckKey, AckValue] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._failed_saves = 0
        self._open = True

    def close(self) -> None:
        """Send what is noted, and note nothing more."""
        self._save()
        self._open = False

    def note(self, topic: str, client_id: str, position: Position, *, baseline: bool) -> None:
        """Note what a client has seen; see `Engine.acknowledge`."""
        key = AckKey(topic, client_id)
        present = self._unsaved.get(key)
        if not self._open or (present is None and len(self._unsaved) >= MAX_UNSAVED_ACKS):
            self._metrics.acks_dropped.inc()
            return
        self._unsaved[key] = AckValue.of(position, baseline=baseline).on_top_of(present)
        self._save_soon()

    async def saved(self, topic: str) -> None:
        """Return when what was noted so far of a topic is stored; raises SessionError."""
        failed = self._failed_saves
        self._save()
        meta = self._names.key(topic, "meta")
        await self._lanes.ask(Command(meta, ("EXISTS", meta)))  # behind them on the same way
        if self._failed_saves != failed:
            raise EngineUnavailable

    def _save_soon(self) -> None:
        if self._timer is None and self._open:
            self._timer = asyncio.get_running_loop().call_later(ACK_DELAY_S, self._save)

    def _save(self) -> None:
        """Send what is noted; what fails is noted again, under what came since."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        acks, self._unsaved = self._unsaved, {}
        by_topic: dict[str, dict[AckKey, AckValue]] = {}
        for key, value in acks.items():
            by_topic.setdefault(key.topic, {})[key] = value
        for topic, values in by_topic.items():
            keys = tuple(self._names.key(topic, kind) for kind in ("meta", "acknowledged", "baselines"))
            parts: list[Part] = []
            for (_, client_id), (epoch, start, offset) in values.items():
                parts += [client_id, epoch, min(start, MAX_NUMBER), min(offset, MAX_NUMBER)]
            self._lanes.submit(ACKNOWLEDGE.call(keys, *parts), partial(self._answered, values))

    def _answered(self, values: dict[AckKey, AckValue], reply: Reply | SessionError) -> None:
        if not isinstance(reply, SessionError):
            return
        self._failed_saves += 1
        if self._open:
            for key, value in values.items():
                newer = self._unsaved.get(key)
                self._unsaved[key] = value if newer is None else newer.on_top_of(value)
            self._save_soon()
