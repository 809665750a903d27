"""The RPCs of `KeyAdminService`: making, reading and changing keys, and looking back on who did."""

from collections.abc import Sequence

from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, keys_pb2

from auth_service.adapters.grpc_api.admin_messages import (
    audit_filter,
    entry_message,
    grace_of,
    key_filter,
    key_message,
    key_request,
    new_expiry_of,
    request_of_key,
)
from auth_service.adapters.grpc_api.caller import Caller, Callers, unary
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.administration import Administration
from auth_service.core.callers import Group
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord, KeyState
from auth_service.core.ports import UseCharger
from service_runtime.logs import get_logger

log = get_logger("auth_service.admin")


class KeyAdminServicer(admin_pb2_grpc.KeyAdminServiceServicer):
    """Makes and changes keys.

    Args:
        callers: lets callers in.
        administration: does the work.
        uses: knows how often keys were used.
        hub: to be woken after each change.
    """

    def __init__(self, callers: Callers, administration: Administration, uses: UseCharger, hub: WatchHub) -> None:
        self.callers = callers
        self._administration = administration
        self._uses = uses
        self._hub = hub

    @unary(Group.WRITE_KEYS)
    async def CreateKey(self, request: admin_pb2.CreateKeyRequest, caller: Caller) -> admin_pb2.CreateKeyResponse:  # noqa: N802
        """Make a key; the response holds the only copy of its secret."""
        record, text = await self._administration.create(key_request(request), caller.actor)
        self._hub.wake()
        return admin_pb2.CreateKeyResponse(key=key_message(record), api_key=text)

    @unary(Group.READ_KEYS)
    async def GetKey(self, request: admin_pb2.GetKeyRequest, caller: Caller) -> admin_pb2.GetKeyResponse:  # noqa: N802
        """Read a key."""
        return admin_pb2.GetKeyResponse(key=await self._message(await self._administration.get(request.key_id)))

    @unary(Group.READ_KEYS)
    async def ListKeys(self, request: admin_pb2.ListKeysRequest, caller: Caller) -> admin_pb2.ListKeysResponse:  # noqa: N802
        """List keys by page."""
        page = await self._administration.list_keys(request.page_size, request.page_token, key_filter(request))
        return admin_pb2.ListKeysResponse(
            keys=await self._messages(page.rows), next_page_token=_token_text(page.next_token)
        )

    @unary(Group.WRITE_KEYS)
    async def UpdateKey(self, request: admin_pb2.UpdateKeyRequest, caller: Caller) -> admin_pb2.UpdateKeyResponse:  # noqa: N802
        """Change the fields of a key that the mask names."""
        key = request.key
        record = await self._administration.update(
            key.key_id, request.update_mask.paths, request_of_key(key), key.etag, caller.actor
        )
        self._hub.wake()
        return admin_pb2.UpdateKeyResponse(key=await self._message(record))

    @unary(Group.WRITE_KEYS)
    async def RotateKey(self, request: admin_pb2.RotateKeyRequest, caller: Caller) -> admin_pb2.RotateKeyResponse:  # noqa: N802
        """Make a key that takes the place of another one; the response holds the only copy of its secret."""
        old, new, text = await self._administration.rotate(
            request.key_id, grace_of(request), new_expiry_of(request), caller.actor
        )
        self._hub.wake()
        return admin_pb2.RotateKeyResponse(key=key_message(new), api_key=text, replaced=await self._replaced(old))

    @unary(Group.WRITE_KEYS)
    async def RevokeKey(self, request: admin_pb2.RevokeKeyRequest, caller: Caller) -> admin_pb2.RevokeKeyResponse:  # noqa: N802
        """Refuse a key for ever."""
        key = await self._set_state(request.key_id, KeyState.REVOKED, request.reason, caller)
        return admin_pb2.RevokeKeyResponse(key=key)

    @unary(Group.WRITE_KEYS)
    async def DisableKey(self, request: admin_pb2.DisableKeyRequest, caller: Caller) -> admin_pb2.DisableKeyResponse:  # noqa: N802
        """Refuse a key until it is enabled."""
        key = await self._set_state(request.key_id, KeyState.DISABLED, request.reason, caller)
        return admin_pb2.DisableKeyResponse(key=key)

    @unary(Group.WRITE_KEYS)
    async def EnableKey(self, request: admin_pb2.EnableKeyRequest, caller: Caller) -> admin_pb2.EnableKeyResponse:  # noqa: N802
        """Let a disabled key in again."""
        key = await self._set_state(request.key_id, KeyState.ACTIVE, "", caller)
        return admin_pb2.EnableKeyResponse(key=key)

    @unary(Group.WRITE_KEYS)
    async def DeleteKey(self, request: admin_pb2.DeleteKeyRequest, caller: Caller) -> admin_pb2.DeleteKeyResponse:  # noqa: N802
        """Remove a key for good."""
        await self._administration.delete(request.key_id, request.reason, caller.actor)
        self._hub.wake()
        return admin_pb2.DeleteKeyResponse()

    @unary(Group.READ_AUDIT)
    async def ListAuditEntries(  # noqa: N802
        self, request: admin_pb2.ListAuditEntriesRequest, caller: Caller
    ) -> admin_pb2.ListAuditEntriesResponse:
        """List changes of keys by page."""
        page = await self._administration.audit_entries(request.page_size, request.page_token, audit_filter(request))
        return admin_pb2.ListAuditEntriesResponse(
            entries=[entry_message(entry) for entry in page.rows], next_page_token=_token_text(page.next_token)
        )

    async def _set_state(self, key_id: str, state: KeyState, reason: str, caller: Caller) -> keys_pb2.Key:
        record = await self._administration.set_state(key_id, state, reason, caller.actor)
        self._hub.wake()
        return await self._message(record)

    async def _message(self, record: KeyRecord) -> keys_pb2.Key:
        (message,) = await self._messages([record])
        return message

    async def _replaced(self, record: KeyRecord) -> keys_pb2.Key:
        """Return the message even if nobody can say now how often the key was used: the new one's secret comes with it."""
        try:
            return await self._message(record)
        except StoreUnavailableError:
            log.warning("uses of a rotated key could not be read", key_id=record.key_id)
            return key_message(record)

    async def _messages(self, records: Sequence[KeyRecord]) -> list[keys_pb2.Key]:
        counts = await self._uses.use_counts([record.key_id for record in records]) if records else {}
        return [key_message(record, counts.get(record.key_id, 0)) for record in records]


def _token_text(position: int | None) -> str:
    return "" if position is None else str(position)
