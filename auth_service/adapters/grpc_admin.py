"""The RPCs of `KeyAdminService`: making, reading and changing keys."""

from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, keys_pb2

from auth_service.adapters.grpc_caller import Caller, Callers, Group, unary
from auth_service.adapters.grpc_messages import key_message, key_request
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.administration import Administration
from auth_service.core.keys import KeyState
from service_runtime.logs import get_logger

log = get_logger("auth_service.admin")


class KeyAdminServicer(admin_pb2_grpc.KeyAdminServiceServicer):
    """Makes and changes keys.

    Args:
        callers: lets callers in.
        administration: does the work.
        hub: to be woken after each change.
    """

    def __init__(self, callers: Callers, administration: Administration, hub: WatchHub) -> None:
        self.callers = callers
        self._administration = administration
        self._hub = hub

    @unary(Group.WRITE_KEYS)
    async def CreateKey(self, request: admin_pb2.CreateKeyRequest, caller: Caller) -> admin_pb2.CreateKeyResponse:  # noqa: N802
        """Make a key; the response holds the only copy of its secret."""
        record, text = await self._administration.create(key_request(request))
        self._hub.wake()
        log.info("key created", key_id=record.key_id, owner=record.owner)
        return admin_pb2.CreateKeyResponse(key=key_message(record), api_key=text)

    @unary(Group.READ_KEYS)
    async def GetKey(self, request: admin_pb2.GetKeyRequest, caller: Caller) -> admin_pb2.GetKeyResponse:  # noqa: N802
        """Read a key."""
        return admin_pb2.GetKeyResponse(key=key_message(await self._administration.get(request.key_id)))

    @unary(Group.READ_KEYS)
    async def ListKeys(self, request: admin_pb2.ListKeysRequest, caller: Caller) -> admin_pb2.ListKeysResponse:  # noqa: N802
        """List keys by page."""
        page = await self._administration.list_keys(request.page_size, request.page_token, request.owner)
        return admin_pb2.ListKeysResponse(
            keys=[key_message(record) for record in page.records],
            next_page_token="" if page.next_after is None else str(page.next_after),
        )

    @unary(Group.WRITE_KEYS)
    async def RevokeKey(self, request: admin_pb2.RevokeKeyRequest, caller: Caller) -> admin_pb2.RevokeKeyResponse:  # noqa: N802
        """Refuse a key for ever."""
        key = await self._set_state(request.key_id, KeyState.REVOKED, request.reason)
        return admin_pb2.RevokeKeyResponse(key=key)

    @unary(Group.WRITE_KEYS)
    async def DisableKey(self, request: admin_pb2.DisableKeyRequest, caller: Caller) -> admin_pb2.DisableKeyResponse:  # noqa: N802
        """Refuse a key until it is enabled."""
        key = await self._set_state(request.key_id, KeyState.DISABLED, request.reason)
        return admin_pb2.DisableKeyResponse(key=key)

    @unary(Group.WRITE_KEYS)
    async def EnableKey(self, request: admin_pb2.EnableKeyRequest, caller: Caller) -> admin_pb2.EnableKeyResponse:  # noqa: N802
        """Let a disabled key in again."""
        return admin_pb2.EnableKeyResponse(key=await self._set_state(request.key_id, KeyState.ACTIVE, ""))

    async def _set_state(self, key_id: str, state: KeyState, reason: str) -> keys_pb2.Key:
        record = await self._administration.set_state(key_id, state, reason)
        self._hub.wake()
        log.info("key state set", key_id=record.key_id, state=record.state.value)
        return key_message(record)
