"""Between the messages of verification and the values of the core."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from tidewire.auth.v1 import auth_pb2, keys_pb2

from auth_service.core.verification import Use, Verdict, VerdictCode

CODES: Final = {code: auth_pb2.VerdictCode.Value(f"VERDICT_CODE_{code.name}") for code in VerdictCode}
_LIMITS: Final = tuple(field.name for field in keys_pb2.KeyLimits.DESCRIPTOR.fields)


def verdict_message(verdict: Verdict) -> auth_pb2.Verdict:
    """Return a verdict as the contract has it."""
    message = auth_pb2.Verdict(
        code=CODES[verdict.code],
        key_id=verdict.key_id,
        owner=verdict.owner,
        permissions=verdict.permissions,
        limits=keys_pb2.KeyLimits(**{name: getattr(verdict.limits, name) for name in _LIMITS}),
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


def use_of(
    request: auth_pb2.VerifyKeyRequest | auth_pb2.IntrospectKeyRequest | auth_pb2.CheckPermissionRequest,
) -> Use:
    """Return what a key is wanted for."""
    return Use(request.domain, request.workspace, request.action, request.channel)


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
