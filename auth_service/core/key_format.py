"""The text of an API key: `tw_<environment>_<key id>_<secret><checksum>` (design.md, "Keys").

Everything after the environment is base62. The checksum is the CRC-32 of all that stands before it, so that
a mistyped key is refused before any store is asked. It proves nothing about who made the key.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from auth_service.core.errors import KeyFormatError

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BRAND: Final = "tw"
ENVIRONMENTS: Final = ("live", "test")
DEFAULT_ENVIRONMENT: Final = "live"
# 62^16 is 95 bits: ids do not meet. 62^32 is 190 bits: secrets are not guessed.
KEY_ID_CHARS: Final = 16
SECRET_CHARS: Final = 32
# 62^6 is the first power of 62 above 2^32.
CHECKSUM_CHARS: Final = 6
MAX_KEY_CHARS: Final = 128
PREFIX_ID_CHARS: Final = 4

_KEY: Final = re.compile(
    rf"({BRAND}_({'|'.join(ENVIRONMENTS)})_([0-9A-Za-z]{{{KEY_ID_CHARS}}})_([0-9A-Za-z]{{{SECRET_CHARS}}}))"
    rf"([0-9A-Za-z]{{{CHECKSUM_CHARS}}})"
)

RandomBelow = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key taken apart; the secret never shows in `repr`."""

    environment: str
    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole key, as its holder is to send it."""
        body = f"{BRAND}_{self.environment}_{self.key_id}_{self.secret}"
        return body + checksum(body)

    @property
    def prefix(self) -> str:
        """The first characters of the key, for recognising it in a list."""
        return f"{BRAND}_{self.environment}_{self.key_id[:PREFIX_ID_CHARS]}"


def base62(number: int, width: int) -> str:
    """Write a number in base62 with leading zeros.

    Args:
        number: not negative, below 62 to the power of `width`.
        width: characters of the result.
    """
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


# Every pair of digits: a checksum is three of them.
_PAIRS: Final = tuple(high + low for high in ALPHABET for low in ALPHABET)


def checksum(body: str) -> str:
    """Return the checksum of all that stands before it in a key; `body` is ASCII."""
    number, low = divmod(zlib.crc32(body.encode("ascii")), len(_PAIRS))
    high, middle = divmod(number, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def generate(environment: str, random_below: RandomBelow) -> KeyText:
    """Make a new key.

    Args:
        environment: one of `ENVIRONMENTS`.
        random_below: a cryptographic source, as `secrets.randbelow`.
    """
    size = len(ALPHABET)
    key_id = base62(random_below(size**KEY_ID_CHARS), KEY_ID_CHARS)
    secret = base62(random_below(size**SECRET_CHARS), SECRET_CHARS)
    return KeyText(environment, key_id, secret)


def parse(text: str) -> KeyText:
    """Take a key apart.

    Raises:
        KeyFormatError: the text is no well-formed key; nothing else is ever raised, whatever the text.
    """
    if len(text) > MAX_KEY_CHARS:
        raise KeyFormatError("too long for a key")
    match = _KEY.fullmatch(text)
    if match is None:
        raise KeyFormatError("not in the form of a key")
    body, environment, key_id, secret, check = match.groups()
    if checksum(body) != check:
        raise KeyFormatError("the checksum does not fit: mistyped or cut off")
    return KeyText(environment, key_id, secret)
