"""The clock of the machine."""

import time

from service_runtime.clock import SystemClock


def test_it_tells_both_times() -> None:
    clock = SystemClock()
    before, earlier = time.time(), time.monotonic()
    assert before <= clock.now() <= time.time()
    assert earlier <= clock.monotonic() <= time.monotonic()
