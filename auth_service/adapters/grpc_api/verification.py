"""The RPCs of `AuthService`: verification, permissions, and the watch."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from auth_service.adapters.grpc_api.caller import Caller, Callers, Context, unary
from auth_service.adapters.grpc_api.errors import end_with
from auth_service.adapters.grpc_api.verdict_messages import CODES, use_of, verdict_message
from auth_service.adapters.metrics import CACHE_HITS, count_verdict
from auth_service.adapters.watch_hub import Event, Reached, WatchHub
from auth_service.core.callers import Group
from auth_service.core.errors import InvalidFieldError
from auth_service.core.ports import Change
from auth_service.core.validation import check_batch, clean_key_id, clean_use
from auth_service.core.verification import Verdict, VerdictCode
from auth_service.core.verifier import Attempt, Verifier


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """Answers: is this key good, and for what.

    Args:
        callers: lets callers in.
        verifier: gives verdicts.
        hub: tells of changes.
    """

    def __init__(self, callers: Callers, verifier: Verifier, hub: WatchHub) -> None:
        self.callers = callers
        self._verifier = verifier
        self._hub = hub

    @unary(Group.VERIFY)
    async def VerifyKey(self, request: auth_pb2.VerifyKeyRequest, caller: Caller) -> auth_pb2.VerifyKeyResponse:  # noqa: N802
        """Verify one key."""
        quick = self._verified_quickly(request)
        if quick:
            _count_quick(1)
            return auth_pb2.VerifyKeyResponse.FromString(quick)
        verdict = await self._verifier.verify(request.api_key, clean_use(use_of(request)), request.client_address)
        return auth_pb2.VerifyKeyResponse(verdict=_counted(verdict))

    @unary(Group.VERIFY)
    async def VerifyKeys(self, request: auth_pb2.VerifyKeysRequest, caller: Caller) -> auth_pb2.VerifyKeysResponse:  # noqa: N802
        """Verify several keys; one field out of bounds refuses them all."""
        check_batch(len(request.requests))
        encoded = [self._verified_quickly(one) for one in request.requests]
        slow = [index for index, quick in enumerate(encoded) if not quick]
        attempts = [_attempt(request.requests[index], f"requests[{index}].") for index in slow]
        for index, verdict in zip(slow, await self._verifier.verify_all(attempts), strict=True):
            encoded[index] = _encoded(_counted(verdict))
        _count_quick(len(encoded) - len(slow))
        return auth_pb2.VerifyKeysResponse.FromString(b"".join(encoded))

    @unary(Group.VERIFY)
    async def IntrospectKey(  # noqa: N802
        self, request: auth_pb2.IntrospectKeyRequest, caller: Caller
    ) -> auth_pb2.IntrospectKeyResponse:
        """Say what a verification would say."""
        verdict = await self._verifier.introspect(request.api_key, clean_use(use_of(request)), request.client_address)
        return auth_pb2.IntrospectKeyResponse(verdict=_counted(verdict))

    @unary(Group.CHECK)
    async def CheckPermission(  # noqa: N802
        self, request: auth_pb2.CheckPermissionRequest, caller: Caller
    ) -> auth_pb2.CheckPermissionResponse:
        """Decide if the holder of a key may do something."""
        key_id, use = clean_key_id(request.key_id), clean_use(use_of(request))
        return auth_pb2.CheckPermissionResponse(verdict=_counted(await self._verifier.check(key_id, use)))

    def _verified_quickly(self, request: auth_pb2.VerifyKeyRequest) -> bytes:
        """Return a verdict as `_encoded` does, if it is known without asking anybody; else nothing."""
        found = self._verifier.verify_quickly(
            request.api_key,
            request.domain,
            request.workspace,
            request.action,
            request.channel,
            request.client_address,
        )
        if found is None:
            return b""
        revision = self._hub.seen_revision()
        if found.revision != revision:
            found.encoded = _encoded(
                verdict_message(found.verdict._replace(revision=max(revision, found.record.revision)))
            )
            found.revision = revision
        return found.encoded

    async def WatchKeys(  # noqa: N802
        self, request: auth_pb2.WatchKeysRequest, context: Context
    ) -> AsyncIterator[auth_pb2.WatchKeysResponse]:
        """Tell of every change. The caller is looked at again at each checkpoint."""
        try:
            caller = await self.callers.admit(context, Group.WATCH)
            if request.from_revision < 0:
                raise InvalidFieldError("from_revision", "must be a revision, or 0")
            async with aclosing(self._hub.follow(request.from_revision, caller.actor)) as events:
                async for event in events:
                    if isinstance(event, Reached):
                        await self.callers.admit_again(caller, Group.WATCH)
                    yield _event_message(event)
        except Exception as error:
            await end_with(context, error)


def _counted(verdict: Verdict) -> auth_pb2.Verdict:
    count_verdict(verdict.code)
    return verdict_message(verdict)


def _count_quick(verdicts: int) -> None:
    count_verdict(VerdictCode.VALID, verdicts)
    CACHE_HITS.inc(verdicts)


def _attempt(request: auth_pb2.VerifyKeyRequest, at: str) -> Attempt:
    return Attempt(request.api_key, clean_use(use_of(request), at), request.client_address, at)


def _encoded(verdict: auth_pb2.Verdict) -> bytes:
    """Return a `VerifyKeyResponse`, which is also one element of a `VerifyKeysResponse`: a test says so."""
    return auth_pb2.VerifyKeyResponse(verdict=verdict).SerializeToString()


def _event_message(event: Event) -> auth_pb2.WatchKeysResponse:
    if isinstance(event, Reached):
        return auth_pb2.WatchKeysResponse(checkpoint=auth_pb2.Checkpoint(revision=event.revision))
    if isinstance(event, Change):
        change = auth_pb2.KeyChange(key_id=event.key_id, revision=event.revision, code=CODES[event.code])
        return auth_pb2.WatchKeysResponse(change=change)
    return auth_pb2.WatchKeysResponse(resync_required=auth_pb2.ResyncRequired(reason=event.reason))
