"""Limits of one connection and of all connections of a key: token buckets, and when patience ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_REPLAY_BYTES: Final = 16 * 1024 * 1024


class TokenBucket:
    """Lets through `rate` units a second with a burst of `burst`; 0 as the rate means no limit.

    Args:
        rate: Units a second.
        burst: Units that may come at once.
        now: The present, in seconds of any monotonic clock.
    """

    __slots__ = ("_level", "_time", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._time = now

    def retune(self, rate: float, burst: float, now: float) -> None:
        """Live by another rate and burst from now on; what is used up stays used up."""
        if (rate, burst) == (self.rate, self.burst):
            return
        if self.rate > 0:
            self._level = min(burst, self._level + (now - self._time) * self.rate)
        else:
            self._level = burst
        self._time = now
        self.rate, self.burst = rate, burst

    def take(self, amount: float, now: float) -> float:
        """Take `amount` units.

        Returns:
            0.0 if they were there; else the seconds until they will be (nothing was taken).
        """
        if self.rate <= 0:
            return 0.0
        level = min(self.burst, self._level + (now - self._time) * self.rate)
        self._time = now
        wanted = min(amount, self.burst)
        if level >= wanted:
            self._level = level - wanted
            return 0.0
        self._level = level
        return (wanted - level) / self.rate


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may do; shown to the client in `connection_success`."""

    max_frame_bytes: int = 64 * 1024
    max_message_bytes: int = 60 * 1024
    frames_per_second: int = 200
    frames_burst: int = 400
    bytes_per_second: int = 1024 * 1024
    max_channels: int = 100
    max_outbox_bytes: int = 1024 * 1024
    max_replay_bytes: int = MAX_REPLAY_BYTES
    rate_limit_warnings: int = 20


class RateGuard:
    """Counts frames and bytes of one connection (and of its key), and says when its patience ends.

    A connection that goes on after `warnings` refused frames, without a second of peace between them, is let go.
    """

    __slots__ = ("_bytes", "_frames", "_key", "_last_strike", "_strikes", "_warnings")

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._frames = TokenBucket(limits.frames_per_second, limits.frames_burst, now)
        self._bytes = TokenBucket(limits.bytes_per_second, max(limits.bytes_per_second, limits.max_frame_bytes), now)
        self._key: KeyBuckets | None = None
        self._warnings = limits.rate_limit_warnings
        self._strikes = 0
        self._last_strike = now

    def adopt(self, limits: ConnectionLimits, key: KeyBuckets, now: float) -> None:
        """Live by the limits of a key from now on."""
        self._frames = TokenBucket(limits.frames_per_second, limits.frames_burst, now)
        self._bytes = TokenBucket(limits.bytes_per_second, max(limits.bytes_per_second, limits.max_frame_bytes), now)
        self._key = key

    def retune(self, limits: ConnectionLimits, now: float) -> None:
        """Live by changed limits of the same key from now on."""
        self._frames.retune(limits.frames_per_second, limits.frames_burst, now)
        self._bytes.retune(limits.bytes_per_second, max(limits.bytes_per_second, limits.max_frame_bytes), now)

    def admit(self, size: int, now: float) -> float:
        """Admit a frame of `size` bytes.

        Returns:
            0.0 if it may pass; else the seconds to wait.
        """
        wait = self._frames.take(1, now) or self._bytes.take(size, now)
        if not wait and self._key is not None:
            wait = self._key.frames.take(1, now) or self._key.bytes.take(size, now)
        if wait:
            self._strikes = 1 if now - self._last_strike > 1.0 else self._strikes + 1
            self._last_strike = now
        return wait

    @property
    def patience_ended(self) -> bool:
        """The client went on after its warnings."""
        return self._strikes > self._warnings


class KeyBuckets:
    """What all connections of one key on this edge share."""

    __slots__ = ("bytes", "frames")

    def __init__(self, frames_per_second: int, bytes_per_second: int, now: float) -> None:
        self.frames = TokenBucket(frames_per_second, 2 * frames_per_second, now)
        self.bytes = TokenBucket(bytes_per_second, bytes_per_second, now)

    def retune(self, frames_per_second: int, bytes_per_second: int, now: float) -> None:
        """Live by changed limits of the key from now on."""
        self.frames.retune(frames_per_second, 2 * frames_per_second, now)
        self.bytes.retune(bytes_per_second, bytes_per_second, now)
