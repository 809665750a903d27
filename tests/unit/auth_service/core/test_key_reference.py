"""The key parser against a slow, obvious one that shares nothing with it, and against garbage of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth_service.core.key_format import KeyText
from auth_service.core.throttle import Throttle
from auth_service.core.verification import VerdictCode
from auth_service.core.verifier import NO_HOOKS, Verifier
from tests.support.key_reference import LETTERS, assert_agrees, slow_crc32, slow_parse
from tests.unit.auth_service.fakes import PEPPERS, FakeClock, MemoryKeyStore, MemoryUses

words = st.text(alphabet=LETTERS, min_size=16, max_size=16)
keys = st.builds(KeyText, st.sampled_from(["live", "test"]), words, st.builds(str.__add__, words, words))
# Also what no encoder would let through: lone surrogates, digits of other scripts, controls.
any_text = st.text(st.characters(codec=None), max_size=200)
pieces = st.sampled_from(
    ["tw", "live", "test", "_", "TW", "0" * 16, "z" * 32, "a" * 38, "\n", "\x00", "\ud800", "٣", "é"]
)


def test_the_reference_is_right_where_it_can_be_looked_up() -> None:
    assert slow_crc32(b"123456789") == 0xCBF43926
    assert slow_parse("tw_live_0000000000000000_000000000000000000000000000000000TDdRS") is not None


@given(keys)
def test_good_keys(key: KeyText) -> None:
    assert slow_parse(key.text) == (key.environment, key.key_id, key.secret)
    assert_agrees(key.text)


@given(keys, st.lists(st.tuples(st.sampled_from("-+~<"), st.integers(0, 80), st.characters(codec=None)), max_size=4))
def test_mutations_of_good_keys(key: KeyText, steps: list[tuple[str, int, str]]) -> None:
    """Characters are taken out, put in, replaced and swapped."""
    text = key.text
    for kind, place, letter in steps:
        at = place % len(text)
        if kind == "-":
            text = text[:at] + text[at + 1 :]
        elif kind == "+":
            text = text[:at] + letter + text[at:]
        elif kind == "~":
            text = text[:at] + letter + text[at + 1 :]
        else:
            text = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
    assert_agrees(text)


@given(keys, st.integers(0, 63), st.sampled_from(LETTERS + "_"))
def test_changes_within_the_alphabet(key: KeyText, place: int, letter: str) -> None:
    assert_agrees(key.text[:place] + letter + key.text[place + 1 :])


@given(st.lists(pieces, max_size=8).map("".join))
@example("tw_live_" + "0" * 16 + "_" + "a" * 38)
def test_what_is_put_together_of_the_parts_of_keys(text: str) -> None:
    assert_agrees(text)


@given(any_text)
def test_any_text(text: str) -> None:
    assert_agrees(text)


@given(
    st.binary(max_size=200),
    st.sampled_from([("latin-1", "strict"), ("utf-8", "replace"), ("utf-8", "surrogateescape")]),
)
def test_any_bytes_however_they_are_read(data: bytes, reading: tuple[str, str]) -> None:
    assert_agrees(data.decode(*reading))


def a_damaged_key(rng: random.Random) -> str:
    """Return a text made of a valid key by some damage."""
    key = KeyText(
        rng.choice(["live", "test"]), "".join(rng.choices(LETTERS, k=16)), "".join(rng.choices(LETTERS, k=32))
    ).text
    damage: list[Callable[[str], str]] = [
        lambda text: text[: rng.randrange(len(text) + 1)],
        lambda text: text + chr(rng.randrange(0x110000)),
        lambda text: text.swapcase(),
        lambda text: text * rng.randrange(2, 5),
        lambda text: " " + text,
        lambda text: text.replace("_", chr(rng.randrange(0x110000)), 1),
        lambda text: text[:-6] + "".join(rng.choices(LETTERS, k=6)),
    ]
    for _ in range(rng.randrange(1, 3)):
        key = rng.choice(damage)(key)
    return key


@pytest.mark.parametrize("seed", range(4))
def test_many_damaged_keys(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5_000):
        assert_agrees(a_damaged_key(rng))


class CountingStore(MemoryKeyStore):
    """Counts who asks."""

    asked = 0

    async def get(self, key_id: str) -> None:
        self.asked += 1


@settings(max_examples=200)
@given(st.one_of(any_text, st.integers(0, 10_000).map(lambda seed: a_damaged_key(random.Random(seed)))))
async def test_only_what_the_reference_takes_for_a_key_reaches_the_store(text: str) -> None:
    store = CountingStore()
    verifier = Verifier(
        store,
        MemoryUses(),
        Throttle(per_minute=0, per_minute_of_address=0, size=10),
        PEPPERS,
        FakeClock(),
        ttl_ms=1000,
        seen_revision=lambda: 1,
        named_keys={},
        hooks=NO_HOOKS,
    )
    for verdict in (await verifier.verify(text), await verifier.introspect(text)):
        assert verdict.code is VerdictCode.NOT_FOUND
    assert store.asked == (0 if slow_parse(text) is None else 2)
