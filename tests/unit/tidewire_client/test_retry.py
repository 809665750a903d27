import asyncio

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from tidewire_client.retry import backoff_s, call_with_retry, repeat

NO_WAIT = lambda _: 0.0  # noqa: E731


def fault(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata())


class Attempts:
    """Raises one error after the other, then answers; notes the timeouts that it is given."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.timeouts: list[float] = []

    async def __call__(self, timeout_s: float) -> str:
        self.timeouts.append(timeout_s)
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.05), (1, 0.1), (4, 0.8), (5, 1.0), (100, 1.0)])
def test_backoff_grows_to_its_bound_with_full_jitter(attempt: int, longest: float) -> None:
    waits = [backoff_s(attempt) for _ in range(500)]
    assert min(waits) >= 0
    assert max(waits) <= longest
    assert max(waits) > longest / 2 > min(waits)


def test_backoff_takes_other_bounds() -> None:
    assert all(backoff_s(10, first_s=0.1, longest_s=0.2) <= 0.2 for _ in range(100))


async def test_a_service_that_comes_back_answers() -> None:
    attempts = Attempts(fault(grpc.StatusCode.UNAVAILABLE), fault(grpc.StatusCode.CANCELLED))
    assert await call_with_retry(attempts, 5.0, backoff=NO_WAIT) == "answer"
    assert len(attempts.timeouts) == 3


async def test_each_attempt_is_given_the_time_that_is_left() -> None:
    attempts = Attempts(fault(grpc.StatusCode.UNAVAILABLE))
    await call_with_retry(attempts, 5.0, backoff=NO_WAIT)
    first, second = attempts.timeouts
    assert 5.0 >= first > second > 4.0


async def test_an_attempt_is_bounded_so_that_a_hung_service_gets_another() -> None:
    attempts = Attempts(fault(grpc.StatusCode.DEADLINE_EXCEEDED))
    assert await call_with_retry(attempts, 5.0, attempt_s=0.5, backoff=NO_WAIT) == "answer"
    assert attempts.timeouts == [0.5, 0.5]


async def test_a_timeout_without_a_bound_for_attempts_is_final() -> None:
    attempts = Attempts(fault(grpc.StatusCode.DEADLINE_EXCEEDED))
    with pytest.raises(AioRpcError):
        await call_with_retry(attempts, 5.0, backoff=NO_WAIT)
    assert len(attempts.timeouts) == 1


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.PERMISSION_DENIED]
)
async def test_a_refusal_is_final(code: grpc.StatusCode) -> None:
    attempts = Attempts(fault(code))
    with pytest.raises(AioRpcError):
        await call_with_retry(attempts, 5.0, attempt_s=1.0, backoff=NO_WAIT)
    assert len(attempts.timeouts) == 1


async def test_other_exceptions_are_final() -> None:
    attempts = Attempts(ValueError("defect"))
    with pytest.raises(ValueError, match="defect"):
        await call_with_retry(attempts, 5.0, backoff=NO_WAIT)


async def test_no_attempt_begins_after_the_deadline() -> None:
    attempts = Attempts(*[fault(grpc.StatusCode.UNAVAILABLE)] * 10)
    with pytest.raises(AioRpcError):
        await call_with_retry(attempts, 1.0, backoff=lambda count: 0.0 if count < 2 else 2.0)
    assert len(attempts.timeouts) == 3


async def test_repeat_asks_how_long_to_wait_and_counts() -> None:
    counts: list[int] = []

    def wait_after(exc: Exception, count: int) -> float | None:
        counts.append(count)
        return 0.0 if isinstance(exc, OSError) else None

    assert await repeat(Attempts(OSError(), OSError()), 5.0, wait_after) == "answer"
    assert counts == [0, 1]
    with pytest.raises(KeyError):
        await repeat(Attempts(OSError(), KeyError()), 5.0, wait_after)


async def test_cancelling_ends_the_repeats() -> None:
    started = asyncio.Event()

    async def attempt(_: float) -> str:
        started.set()
        raise fault(grpc.StatusCode.UNAVAILABLE)

    task = asyncio.create_task(call_with_retry(attempt, 60.0, backoff=lambda _: 30.0))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
