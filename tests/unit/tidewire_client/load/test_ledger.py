"""What a client got of what it was to get."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire_client.load.ledger import Account, ClientLedger, Sent


def ledger_of(*numbers: int, stream: int = 0) -> ClientLedger:
    ledger = ClientLedger()
    for number in numbers:
        ledger.take(stream, number)
    return ledger


@pytest.mark.parametrize(
    ("numbers", "sent", "account"),
    [
        ((0, 1, 2), Sent(3), Account(3, 3)),
        ((), Sent(0), Account()),
        ((), Sent(2), Account(2, 0, missing=2)),
        ((0, 2), Sent(3), Account(3, 2, missing=1)),
        ((0, 1), Sent(3), Account(3, 2, missing=1)),
        ((0, 1, 1), Sent(2), Account(2, 2, duplicated=1)),
        ((0, 2, 1), Sent(3), Account(3, 3, out_of_order=1)),
        ((0, 2, 1, 1), Sent(3), Account(3, 3, duplicated=1, out_of_order=1)),
        # Refused ones are not expected, and their numbers leave no hole.
        ((0, 3), Sent(4, ((1, 3),)), Account(2, 2)),
        ((0, 4), Sent(5, ((1, 3),)), Account(3, 2, missing=1)),
        ((0,), Sent(4, ((2, 4),)), Account(2, 1, missing=1)),
        # Cut off, and stored all the same.
        ((0, 1, 2), Sent(3, ((1, 2),)), Account(2, 2)),
    ],
)
def test_accounts(numbers: tuple[int, ...], sent: Sent, account: Account) -> None:
    ledger = ledger_of(*numbers)
    assert ledger.account([0], {0: sent}) == account
    assert ledger.complete([0], {0: sent}) == (account.missing == 0)
    assert account.right == (not (account.missing or account.duplicated or account.out_of_order))


def test_streams_are_counted_apart() -> None:
    ledger = ledger_of(0, 1, stream=4)
    ledger.take(9, 0)
    assert ledger.account([4, 9, 11], {4: Sent(2), 9: Sent(2)}) == Account(4, 3, missing=1)
    assert not ledger.complete([4, 9], {4: Sent(2), 9: Sent(2)})
    assert ledger.complete([4, 11], {4: Sent(2)})


def test_what_it_was_not_to_get_is_not_counted_as_received() -> None:
    assert ledger_of(0, 1, stream=4).account([], {4: Sent(2)}) == Account()


@given(st.integers(0, 40), st.integers(0, 10_000), st.lists(st.integers(0, 39), max_size=8))
def test_any_order_and_any_loss(count: int, seed: int, lost: list[int]) -> None:
    rng = random.Random(seed)
    arrived = [number for number in range(count) if number not in lost]
    again = rng.sample(arrived, min(3, len(arrived)))
    rng.shuffle(arrived)
    account = ledger_of(*arrived, *again).account([0], {0: Sent(count)})
    assert account.received == len(arrived)
    assert account.missing == count - len(arrived)
    assert account.duplicated == len(again)
    highest, late = -1, 0
    for number in arrived:
        late += number < highest
        highest = max(highest, number)
    assert account.out_of_order == late
