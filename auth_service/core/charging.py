"""What a verification costs a key: one of its uses, and one cell of its rate.

The rate is the generic cell rate algorithm: of a key that was never used N verifications may come at once, and after that
one each interval, which is the period divided by N, rounded up to whole microseconds. All that is kept is the moment at
which the key is as if it had never been used. A denial costs nothing, and the rate is looked at before the uses.

`charge.lua` does the same on the server; a test holds the two against each other.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from auth_service.core.keys import KeyRecord, VerificationRate
from auth_service.core.verification import Verdict, VerdictCode

_US_PER_MS: Final = 1000


class Cells(NamedTuple):
    """A rate as it is reckoned with: a burst of cells, and the microseconds after which one of them is back."""

    burst: int
    interval_us: int


class Uses(NamedTuple):
    """What is kept of a key's use: how many were charged, and when its rate is full again (Unix microseconds)."""

    use_count: int = 0
    full_at_us: int = 0


UNUSED: Final = Uses()


@dataclass(frozen=True, slots=True)
class Charge:
    """What came of a charge.

    Args:
        code: VALID, RATE_LIMITED or USAGE_EXCEEDED.
        retry_after_ms: with RATE_LIMITED: after so many milliseconds the next one fits.
        remaining_uses: with VALID: uses that are left after this one; None: they are not bounded.
    """

    code: VerdictCode
    retry_after_ms: int = 0
    remaining_uses: int | None = None


EXCEEDED: Final = Charge(VerdictCode.USAGE_EXCEEDED)


def cells_of(rate: VerificationRate) -> Cells:
    """Return how a rate is reckoned with."""
    return Cells(rate.verifications, -(-rate.period_ms * _US_PER_MS // rate.verifications))


def missing_us(cells: Cells, full_at_us: int, now_us: int) -> int:
    """Return how long it is until everything is as if never used; never longer than an empty burst takes.

    That bound is what a rate that was changed, or a clock that was set back, may cost a key at most.
    """
    return min(max(full_at_us - now_us, 0), cells.burst * cells.interval_us)


def wait_us(cells: Cells, full_at_us: int, now_us: int) -> int:
    """Return after how many microseconds one more cell fits; 0: it fits now."""
    return max(missing_us(cells, full_at_us, now_us) - (cells.burst - 1) * cells.interval_us, 0)


def taken(cells: Cells, full_at_us: int, now_us: int) -> int:
    """Return `full_at_us` after one more cell was taken."""
    return now_us + missing_us(cells, full_at_us, now_us) + cells.interval_us


def limited(wait_us: int) -> Charge:
    """Return the denial of what came too early by some microseconds; told in whole milliseconds, rounded up."""
    return Charge(VerdictCode.RATE_LIMITED, retry_after_ms=-(-wait_us // _US_PER_MS))


def charge(record: KeyRecord, uses: Uses, now_us: int) -> tuple[Charge, Uses]:
    """Charge one verification to a key that is otherwise good.

    Args:
        record: the key, with its bounds.
        uses: what is kept of its use.
        now_us: the present moment, Unix microseconds.

    Returns:
        What came of it, and what is to be kept from now on: the same as before if it was denied, unless the clock was set back.
    """
    use_count, full_at_us = uses
    if record.verification_rate is not None:
        cells = cells_of(record.verification_rate)
        early_us = wait_us(cells, full_at_us, now_us)
        if early_us:
            # As far ahead as it can be. If it was further, the clock was set back: from now on it is waited for from here.
            latest_us = now_us + cells.burst * cells.interval_us
            return limited(early_us), Uses(use_count, min(full_at_us, latest_us))
        full_at_us = taken(cells, full_at_us, now_us)
    if not record.max_uses:
        return Charge(VerdictCode.VALID), Uses(use_count, full_at_us)
    if use_count >= record.max_uses:
        return EXCEEDED, uses
    use_count += 1
    return Charge(VerdictCode.VALID, remaining_uses=record.max_uses - use_count), Uses(use_count, full_at_us)


def charged(verdict: Verdict, charge: Charge) -> Verdict:
    """Return the verdict on a key that is otherwise good, after a charge.

    Nobody may keep it, because the next use is to be charged too. A denial shows no more of the key than that of one that is
    disabled.
    """
    if charge.code is VerdictCode.VALID:
        return verdict._replace(cache_ttl_ms=0, remaining_uses=charge.remaining_uses)
    return Verdict(
        code=charge.code,
        revision=verdict.revision,
        cache_ttl_ms=0,
        key_id=verdict.key_id,
        expire_ms=verdict.expire_ms,
        retry_after_ms=charge.retry_after_ms,
    )
