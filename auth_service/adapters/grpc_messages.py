"""Between the messages of the contracts and the values of the core."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, auth_pb2, keys_pb2

from auth_service.core.errors import InvalidFieldError
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState
from auth_service.core.validation import KeyRequest
from auth_service.core.verification import Use, Verdict, VerdictCode

CODES: Final = {code: auth_pb2.VerdictCode.Value(f"VERDICT_CODE_{code.name}") for code in VerdictCode}
STATES: Final = {state: keys_pb2.KeyState.Value(f"KEY_STATE_{state.name}") for state in KeyState}
_LIMITS: Final = tuple(field.name for field in keys_pb2.KeyLimits.DESCRIPTOR.fields)


def verdict_message(verdict: Verdict) -> auth_pb2.Verdict:
    """Return a verdict as the contract has it."""
    message = auth_pb2.Verdict(
        code=CODES[verdict.code],
        key_id=verdict.key_id,
        owner=verdict.owner,
        permissions=verdict.permissions,
        limits=_limits_message(verdict.limits),
        revision=verdict.revision,
        missing=verdict.missing,
        cache_ttl=_duration(verdict.cache_ttl_ms),
    )
    if verdict.retry_after_ms:
        message.retry_after.CopyFrom(_duration(verdict.retry_after_ms))
    if verdict.remaining_uses is not None:
        message.remaining_uses = verdict.remaining_uses
    if verdict.expire_ms is not None:
        message.expire_time.FromMilliseconds(verdict.expire_ms)
    return message


def key_message(record: KeyRecord) -> keys_pb2.Key:
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
        limits=_limits_message(record.limits),
        state=STATES[record.state],
        state_reason=record.state_reason,
        revision=record.revision,
    )
    message.create_time.FromMilliseconds(record.create_ms)
    message.update_time.FromMilliseconds(record.update_ms)
    if record.expire_ms is not None:
        message.expire_time.FromMilliseconds(record.expire_ms)
    return message


def use_of(
    request: auth_pb2.VerifyKeyRequest | auth_pb2.IntrospectKeyRequest | auth_pb2.CheckPermissionRequest,
) -> Use:
    """Return what a key is wanted for."""
    return Use(request.domain, request.workspace, request.action, request.channel)


def key_request(request: admin_pb2.CreateKeyRequest) -> KeyRequest:
    """Return the request for a new key, not yet checked.

    Raises:
        InvalidFieldError: `expire_time` is no moment at all.
    """
    return KeyRequest(
        owner=request.owner,
        name=request.name,
        permissions=tuple(request.permissions),
        allowed_domains=tuple(request.allowed_domains),
        allowed_workspaces=tuple(request.allowed_workspaces),
        limits=KeyLimits(**{name: getattr(request.limits, name) for name in _LIMITS}),
        expire_ms=_milliseconds(request.expire_time) if request.HasField("expire_time") else None,
        environment=request.environment,
    )


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _milliseconds(moment: Timestamp) -> int:
    if not 0 <= moment.nanos < 1_000_000_000:
        raise InvalidFieldError("expire_time", "must have nanos from 0 to 999999999")
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def _limits_message(limits: KeyLimits) -> keys_pb2.KeyLimits:
    return keys_pb2.KeyLimits(**{name: getattr(limits, name) for name in _LIMITS})
