"""Between the messages of administration and the values of the core."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, keys_pb2

from auth_service.core.audit import AuditAction, AuditEntry, AuditFilter
from auth_service.core.errors import InvalidFieldError
from auth_service.core.key_update import etag_of
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.listing import KeyFilter
from auth_service.core.validation import KeyRequest

V = TypeVar("V")

STATES: Final = {state: keys_pb2.KeyState.Value(f"KEY_STATE_{state.name}") for state in KeyState}
ACTIONS: Final = {action: admin_pb2.AuditAction.Value(f"AUDIT_ACTION_{action.name}") for action in AuditAction}
_STATE_OF: Final[Mapping[int, KeyState]] = {number: state for state, number in STATES.items()}
_ACTION_OF: Final[Mapping[int, AuditAction]] = {number: action for action, number in ACTIONS.items()}
_LIMITS: Final = tuple(field.name for field in keys_pb2.KeyLimits.DESCRIPTOR.fields)
_NANOS: Final = 1_000_000_000


class _Fields(Protocol):
    """What both a request for a new key and a key itself have."""

    owner: str
    name: str
    environment: str
    max_uses: int

    @property
    def permissions(self) -> Sequence[str]: ...
    @property
    def allowed_domains(self) -> Sequence[str]: ...
    @property
    def allowed_workspaces(self) -> Sequence[str]: ...
    @property
    def limits(self) -> keys_pb2.KeyLimits: ...
    @property
    def verification_rate(self) -> keys_pb2.VerificationRate: ...


def key_request(request: admin_pb2.CreateKeyRequest) -> KeyRequest:
    """Return the request for a new key, not yet checked.

    Raises:
        InvalidFieldError: a moment or a duration is none at all.
    """
    expires = request.expire_time if request.HasField("expire_time") else None
    return _request(request, expires, rated=request.HasField("verification_rate"))


def request_of_key(key: keys_pb2.Key) -> KeyRequest:
    """Return the new values of a key, not yet checked; raises as `key_request`."""
    expires = key.expire_time if key.HasField("expire_time") else None
    return _request(key, expires, rated=key.HasField("verification_rate"))


def _request(fields: _Fields, expires: Timestamp | None, *, rated: bool) -> KeyRequest:
    rate = fields.verification_rate
    return KeyRequest(
        owner=fields.owner,
        name=fields.name,
        permissions=tuple(fields.permissions),
        allowed_domains=tuple(fields.allowed_domains),
        allowed_workspaces=tuple(fields.allowed_workspaces),
        limits=KeyLimits(**{name: getattr(fields.limits, name) for name in _LIMITS}),
        expire_ms=_milliseconds("expire_time", expires),
        environment=fields.environment,
        verification_rate=VerificationRate(rate.verifications, _period_ms(rate.period)) if rated else None,
        max_uses=fields.max_uses,
    )


def grace_of(request: admin_pb2.RotateKeyRequest) -> int | None:
    """Return the time of grace in milliseconds, rounded up; None: not given."""
    if not request.HasField("grace"):
        return None
    return request.grace.seconds * 1000 - -request.grace.nanos // 1_000_000


def new_expiry_of(request: admin_pb2.RotateKeyRequest) -> int | None:
    """Return when the new key is to expire, Unix milliseconds; None: not given."""
    return _milliseconds("expire_time", request.expire_time if request.HasField("expire_time") else None)


def key_filter(request: admin_pb2.ListKeysRequest) -> KeyFilter:
    """Return which keys are asked for.

    Raises:
        InvalidFieldError: a state is none.
    """
    return KeyFilter(
        owner=request.owner,
        states=_known("states", _STATE_OF, request.states),
        environment=request.environment,
        name_contains=request.name_contains,
        expires_before_ms=_milliseconds(
            "expires_before", request.expires_before if request.HasField("expires_before") else None
        ),
    )


def audit_filter(request: admin_pb2.ListAuditEntriesRequest) -> AuditFilter:
    """Return which entries are asked for.

    Raises:
        InvalidFieldError: an action is none.
    """
    return AuditFilter(
        key_id=request.key_id,
        actor=request.actor,
        actions=_known("actions", _ACTION_OF, request.actions),
        start_ms=_milliseconds("start_time", request.start_time if request.HasField("start_time") else None),
        end_ms=_milliseconds("end_time", request.end_time if request.HasField("end_time") else None),
    )


def key_message(record: KeyRecord, use_count: int = 0) -> keys_pb2.Key:
    """Return a key as an administrator sees it: all but the secret."""
    message = keys_pb2.Key(
        key_id=record.key_id,
        owner=record.owner,
        name=record.name,
        environment=record.environment,
        prefix=record.prefix,
        permissions=record.permissions.texts,
        allowed_domains=record.allowed_domains,
        allowed_workspaces=record.allowed_workspaces,
        limits=keys_pb2.KeyLimits(**asdict(record.limits)),
        state=STATES[record.state],
        state_reason=record.state_reason,
        revision=record.revision,
        etag=etag_of(record),
        max_uses=record.max_uses,
        use_count=use_count,
        replaced_by=record.replaced_by,
        replaces=record.replaces,
    )
    message.create_time.FromMilliseconds(record.create_ms)
    message.update_time.FromMilliseconds(record.update_ms)
    if record.expire_ms is not None:
        message.expire_time.FromMilliseconds(record.expire_ms)
    rate = record.verification_rate
    if rate is not None:
        message.verification_rate.verifications = rate.verifications
        message.verification_rate.period.FromMilliseconds(rate.period_ms)
    return message


def entry_message(entry: AuditEntry) -> admin_pb2.AuditEntry:
    """Return an entry of the audit log."""
    message = admin_pb2.AuditEntry(
        revision=entry.revision,
        actor=entry.actor,
        action=ACTIONS[entry.action],
        key_id=entry.key_id,
        reason=entry.reason,
        before=None if entry.before is None else key_message(entry.before),
        after=None if entry.after is None else key_message(entry.after),
    )
    message.time.FromMilliseconds(entry.time_ms)
    return message


def _known(field: str, known: Mapping[int, V], numbers: Sequence[int]) -> frozenset[V]:
    for index, number in enumerate(numbers):
        if number not in known:
            raise InvalidFieldError(f"{field}[{index}]", "is none that this service knows")
    return frozenset(known[number] for number in numbers)


def _milliseconds(field: str, moment: Timestamp | None) -> int | None:
    if moment is None:
        return None
    if not 0 <= moment.nanos < _NANOS:
        raise InvalidFieldError(field, f"must have nanos from 0 to {_NANOS - 1}")
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def _period_ms(period: Duration) -> int:
    if period.nanos % 1_000_000:
        raise InvalidFieldError("verification_rate.period", "must be whole milliseconds")
    return period.seconds * 1000 + period.nanos // 1_000_000
