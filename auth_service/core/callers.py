"""What callers may call: the groups of methods, and the names of client certificates that are let in for some of them."""

import enum
from collections.abc import Mapping
from typing import Final

EVERYTHING: Final = "*"


class Group(enum.Enum):
    """What a method is for; the values are those of the contracts (`auth/v1/auth.proto`, `auth/v1/admin.proto`)."""

    VERIFY = "verify"
    CHECK = "check"
    WATCH = "watch"
    READ_KEYS = "keys.read"
    WRITE_KEYS = "keys.write"
    READ_AUDIT = "audit.read"


Certificates = Mapping[str, frozenset[Group]]
"""What each name of a client certificate is let in for."""

_BY_NAME: Final = {group.value: frozenset({group}) for group in Group} | {EVERYTHING: frozenset(Group)}
_FORM: Final = f"name=group,group;name=*, where groups are {', '.join(group.value for group in Group)}"


def parse_certificates(text: str) -> Certificates:
    """Read `name=group,group;name=*`.

    Args:
        text: a name is a DNS name, a URI or a common name; it may hold `=`, but no `;`. Empty: nobody.

    Raises:
        ValueError: it is not of that form; the text says where, and what is allowed.
    """
    found: dict[str, frozenset[Group]] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, groups = (part.strip() for part in entry.rpartition("="))
        if not equals or not name:
            raise ValueError(f"{_FORM}; {entry!r} is not of this form")
        if name in found:
            raise ValueError(f"{_FORM}; {name!r} is named twice")
        found[name] = _groups(name, groups)
    return found


def _groups(name: str, text: str) -> frozenset[Group]:
    wanted = [part.strip() for part in text.split(",")]
    unknown = [part for part in wanted if part not in _BY_NAME]
    if unknown:
        raise ValueError(f"{_FORM}; {unknown[0]!r}, of {name!r}, is none")
    return frozenset().union(*(_BY_NAME[part] for part in wanted))
