"""When a service that has died is started again, and when it is given up."""

from __future__ import annotations

from collections import deque
from typing import Final

FIRST_DELAY_S: Final = 0.1
MOST_DELAY_S: Final = 5.0
# A service that ran for so long is well: the next crash is a first one again.
CALM_S: Final = 10.0
WINDOW_S: Final = 60.0


class RestartPolicy:
    """Exponential backoff, and a bound on crashes in a minute.

    Args:
        most_crashes: In `WINDOW_S` seconds, before the service is given up; None: no bound.
    """

    def __init__(self, most_crashes: int | None = None) -> None:
        self._most_crashes = most_crashes
        self._delay_s = FIRST_DELAY_S
        self._crashes: deque[float] = deque()

    def crashed(self, now_s: float, ran_for_s: float) -> float | None:
        """Note a crash.

        Args:
            now_s: Of a clock that never goes back.
            ran_for_s: How long the service ran.

        Returns:
            How many seconds to wait before it is started again; None: give it up.
        """
        self._crashes.append(now_s)
        while self._crashes[0] <= now_s - WINDOW_S:
            self._crashes.popleft()
        if self._most_crashes is not None and len(self._crashes) >= self._most_crashes:
            return None
        if ran_for_s >= CALM_S:
            self._delay_s = FIRST_DELAY_S
        delay_s = self._delay_s
        self._delay_s = min(MOST_DELAY_S, 2 * delay_s)
        return delay_s
