"""Administration as use cases: making keys and changing their state."""

from auth_service.core.errors import KeyNotFoundError
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import KeyText, RandomBelow, generate
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, change_state
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import Clock, KeyPage, KeyStore, now_ms
from auth_service.core.validation import (
    KeyRequest,
    KeySpec,
    clean_key_id,
    clean_key_request,
    clean_owner_filter,
    clean_page_size,
    clean_page_token,
    clean_reason,
)


class Administration:
    """Makes, reads and changes keys; every field is checked here.

    Args:
        store: where the keys are.
        peppers: what secrets are hashed under.
        clock: the present moment.
        random_below: a cryptographic source, as `secrets.randbelow`.
    """

    def __init__(self, store: KeyStore, peppers: Peppers, clock: Clock, random_below: RandomBelow) -> None:
        self._store = store
        self._peppers = peppers
        self._clock = clock
        self._random_below = random_below

    async def create(self, request: KeyRequest) -> tuple[KeyRecord, str]:
        """Make a key and return it with its whole text, the only copy there is.

        Raises:
            InvalidFieldError: a field breaks a rule.
        """
        now = now_ms(self._clock)
        record, text = self._new(clean_key_request(request, now), now)
        return await self._store.create(record), text.text

    async def create_first(self) -> tuple[KeyRecord, str]:
        """Make the first admin key, once in the life of the store; returns as `create`.

        Raises:
            AlreadyBootstrappedError: it was made before.
        """
        spec = KeySpec(
            owner="admin",
            name="first admin key",
            permissions=PermissionSet.of(["*:*"]),
            allowed_domains=(),
            allowed_workspaces=(),
            limits=KeyLimits(),
            expire_ms=None,
            environment="live",
        )
        record, text = self._new(spec, now_ms(self._clock))
        return await self._store.create_first(record), text.text

    async def get(self, key_id: str) -> KeyRecord:
        """Read one key.

        Raises:
            InvalidFieldError: the id cannot be one.
            KeyNotFoundError: no key has this id.
        """
        record = await self._store.get(clean_key_id(key_id))
        if record is None:
            raise KeyNotFoundError(key_id)
        return record

    async def list_keys(self, page_size: int, page_token: str, owner: str) -> KeyPage:
        """Read a page of keys, oldest first.

        Raises:
            InvalidFieldError: a field breaks a rule.
        """
        return await self._store.list_keys(
            after=clean_page_token(page_token),
            limit=clean_page_size(page_size),
            owner=clean_owner_filter(owner),
        )

    async def set_state(self, key_id: str, state: KeyState, reason: str = "") -> KeyRecord:
        """Change the state of a key; idempotent. Return the key as it is then.

        Raises:
            InvalidFieldError: a field breaks a rule.
            KeyNotFoundError: no key has this id.
            KeyRevokedError: the key is revoked, and the change would lead elsewhere.
        """
        key_id, reason = clean_key_id(key_id), clean_reason(reason)
        now = now_ms(self._clock)
        return await self._store.update(key_id, lambda record: change_state(record, state, reason, now))

    def _new(self, spec: KeySpec, now: int) -> tuple[KeyRecord, KeyText]:
        text = generate(spec.environment, self._random_below)
        record = KeyRecord(
            key_id=text.key_id,
            secret_hash=self._peppers.hash(text.secret),
            pepper_version=self._peppers.current,
            environment=spec.environment,
            prefix=text.prefix,
            owner=spec.owner,
            name=spec.name,
            permissions=spec.permissions,
            allowed_domains=spec.allowed_domains,
            allowed_workspaces=spec.allowed_workspaces,
            limits=spec.limits,
            create_ms=now,
            update_ms=now,
            expire_ms=spec.expire_ms,
        )
        return record, text
