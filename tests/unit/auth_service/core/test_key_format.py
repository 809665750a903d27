"""The text of a key."""

import random
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.core.errors import KeyFormatError
from auth_service.core.key_format import (
    ALPHABET,
    KEY_ID_CHARS,
    MAX_KEY_CHARS,
    SECRET_CHARS,
    KeyText,
    base62,
    checksum,
    generate,
    parse,
)

base62_texts = st.text(alphabet=ALPHABET, min_size=1, max_size=40)
keys = st.builds(
    KeyText,
    st.sampled_from(["live", "test"]),
    st.text(alphabet=ALPHABET, min_size=KEY_ID_CHARS, max_size=KEY_ID_CHARS),
    st.text(alphabet=ALPHABET, min_size=SECRET_CHARS, max_size=SECRET_CHARS),
)


def test_a_secret_holds_at_least_128_bits() -> None:
    assert len(ALPHABET) ** SECRET_CHARS > 2**128


def test_generated_keys_parse_and_differ() -> None:
    made = [generate("test", secrets.randbelow) for _ in range(50)]
    assert [parse(key.text) for key in made] == made
    assert len({key.key_id for key in made}) == len({key.secret for key in made}) == 50


def test_generation_uses_only_the_source_it_is_given() -> None:
    assert generate("live", random.Random(7).randrange) == generate("live", random.Random(7).randrange)


def test_the_prefix_is_the_beginning_of_the_key_and_no_secret() -> None:
    key = generate("live", secrets.randbelow)
    assert key.text.startswith(key.prefix)
    assert len(key.prefix) == len("tw_live_4fK2")


def test_repr_shows_no_secret() -> None:
    key = generate("live", secrets.randbelow)
    assert key.secret not in repr(key)


@pytest.mark.parametrize(("number", "text"), [(0, "000"), (61, "00z"), (62, "010"), (62**3 - 1, "zzz")])
def test_base62(number: int, text: str) -> None:
    assert base62(number, 3) == text


def test_the_checksum_does_not_change_between_versions() -> None:
    assert checksum("tw_live_0000000000000000_00000000000000000000000000000000") == "0TDdRS"


@given(keys)
def test_every_key_round_trips(key: KeyText) -> None:
    assert parse(key.text) == key


@given(keys, st.data())
def test_one_wrong_character_is_refused(key: KeyText, data: st.DataObject) -> None:
    text = key.text
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET + "_").filter(lambda c: c != text[position]))
    with pytest.raises(KeyFormatError):
        parse(text[:position] + other + text[position + 1 :])


@given(keys, st.integers(0, 50))
def test_two_swapped_neighbours_are_refused(key: KeyText, position: int) -> None:
    text = key.text
    swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    if swapped != text:
        with pytest.raises(KeyFormatError):
            parse(swapped)


@given(st.one_of(st.text(), st.text(alphabet=st.characters(), max_size=200), base62_texts.map("tw_live_".__add__)))
def test_garbage_raises_nothing_but_the_error_for_it(text: str) -> None:
    with pytest.raises(KeyFormatError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "development",
        "tw_live__",
        "tw_prod_0000000000000000_00000000000000000000000000000000" + "0" * 6,
        "\ud800" * 64,
        "٠" * 64,
        "t" * (MAX_KEY_CHARS + 1),
    ],
)
def test_what_only_looks_like_a_key_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        parse(text)


def test_a_newline_after_a_key_is_refused() -> None:
    with pytest.raises(KeyFormatError):
        parse(generate("live", secrets.randbelow).text + "\n")


def test_the_error_does_not_repeat_the_text() -> None:
    text = generate("live", secrets.randbelow).text[:-1] + "!"
    with pytest.raises(KeyFormatError) as caught:
        parse(text)
    assert text not in str(caught.value)
