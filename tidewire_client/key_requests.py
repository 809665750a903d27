"""What administrators ask for, as the requests of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, TypedDict

from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, keys_pb2

from tidewire_client.keys import STATE_NUMBERS, KeyState, VerificationRate
from tidewire_client.verdict import KeyLimits


class KeyFields(TypedDict, total=False):
    """The fields of a key that can change.

    Attributes:
        name: For people: up to 128 characters.
        owner: Who answers for it: 1 to 128 characters.
        permissions: Each `action:channel pattern`, at least one.
        domains: Where it may be used; empty: everywhere.
        workspaces: Where it may be used; empty: everywhere.
        limits: Of its holder: all of them, or, as a mapping from names to numbers, only those that are named.
        expire_time: From this moment on (with time zone) it is refused; None: never.
        verification_rate: How often it may be verified; None: as often as its holder likes.
        max_uses: Verifications that it is good for in all; 0: without end.
    """

    name: str
    owner: str
    permissions: Sequence[str]
    domains: Sequence[str]
    workspaces: Sequence[str]
    limits: KeyLimits | Mapping[str, int]
    expire_time: datetime | None
    verification_rate: VerificationRate | None
    max_uses: int


class KeyFilters(TypedDict, total=False):
    """Which keys to list: those that fit all that is given.

    Attributes:
        owner: Only this owner's; empty: all.
        states: Only those in one of these states; empty: all.
        environment: Only `live` or `test` ones; empty: all.
        name_contains: Only those whose name has this in it, capital or small; empty: all.
        expires_before: Only those whose time is over at this moment (with time zone); None: all.
    """

    owner: str
    states: Sequence[KeyState]
    environment: str
    name_contains: str
    expires_before: datetime | None


# The names in the contract, where they are others.
_FIELD_NAMES: Final = {"domains": "allowed_domains", "workspaces": "allowed_workspaces"}


def create_request(owner: str, permissions: Sequence[str], environment: str, more: KeyFields) -> Any:
    """Return the request for a new key.

    Raises:
        ValueError: A moment has no time zone, or a number is out of the contract's range.
    """
    values = {_FIELD_NAMES.get(name, name): _value(name, value) for name, value in more.items()}
    return admin_pb2.CreateKeyRequest(owner=owner, permissions=permissions, environment=environment, **values)


def update_request(key_id: str, etag: str, fields: KeyFields) -> Any:
    """Return the request that changes these fields and no others.

    Raises:
        ValueError: There are none, a moment has no time zone, or a number is out of the contract's range.
        TypeError: A key has no such field, or it cannot change.
    """
    if not fields:
        raise ValueError("name a field to change at least")
    check_names(fields, KeyFields)
    values = {_FIELD_NAMES.get(name, name): _value(name, value) for name, value in fields.items()}
    request = admin_pb2.UpdateKeyRequest(key=keys_pb2.Key(key_id=key_id, etag=etag, **values))
    request.update_mask.paths.extend(_paths(fields))
    return request


def list_request(page_size: int, page_token: str, filters: KeyFilters) -> Any:
    """Return the request for a page of keys.

    Raises:
        ValueError: A moment has no time zone, or a state is none to ask for.
        TypeError: There is no such filter.
    """
    check_names(filters, KeyFilters)
    states = filters.get("states", ())
    if KeyState.UNKNOWN in states:
        raise ValueError("keys cannot be asked for by a state that is not known")
    return admin_pb2.ListKeysRequest(
        page_size=page_size,
        page_token=page_token,
        owner=filters.get("owner", ""),
        states=[STATE_NUMBERS[state] for state in states],
        environment=filters.get("environment", ""),
        name_contains=filters.get("name_contains", ""),
        expires_before=timestamp("expires_before", filters.get("expires_before")),
    )


def check_names(given: Mapping[str, object], known: type) -> None:
    """Refuse a keyword that is misspelt: left out, it would change nothing, or list everything.

    Raises:
        TypeError: One is none of those that are known.
    """
    unknown = given.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"{min(unknown)!r} is none of {' '.join(known.__annotations__)}")


def timestamp(name: str, moment: datetime | None) -> Timestamp | None:
    """Return a moment as the contract has it; None for None.

    Raises:
        ValueError: It has no time zone.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs a time zone")
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def _value(name: str, value: Any) -> Any:
    if name == "expire_time":
        return timestamp(name, value)
    if name == "verification_rate" and value is not None:
        rate = keys_pb2.VerificationRate(verifications=value.verifications)
        rate.period.FromTimedelta(value.period)
        return rate
    if name == "limits":
        return keys_pb2.KeyLimits(**(asdict(value) if isinstance(value, KeyLimits) else value))
    return value


def _paths(fields: KeyFields) -> list[str]:
    paths: list[str] = []
    for name, value in fields.items():
        if name == "limits" and not isinstance(value, KeyLimits):
            paths.extend(f"limits.{limit}" for limit in fields["limits"])  # type: ignore[union-attr]
        else:
            paths.append(_FIELD_NAMES.get(name, name))
    return paths
