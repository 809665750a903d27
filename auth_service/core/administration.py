"""Administration as use cases: making keys, changing them, and looking back on who did."""

from collections.abc import Sequence

from auth_service.core.audit import AuditEntry, AuditFilter
from auth_service.core.errors import KeyNotFoundError
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import DEFAULT_ENVIRONMENT, ENVIRONMENTS, KeyText, RandomBelow, generate
from auth_service.core.key_update import Rotation, clean_patch
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, change_state
from auth_service.core.listing import BATCH, KeyFilter, Page, filtered_page
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import Clock, KeyStore, now_ms
from auth_service.core.validation import (
    KeyRequest,
    KeySpec,
    clean_actor_filter,
    clean_environment_filter,
    clean_expiry,
    clean_grace,
    clean_key_id,
    clean_key_request,
    clean_name_filter,
    clean_owner_filter,
    clean_page_size,
    clean_page_token,
    clean_reason,
)


class Administration:
    """Makes, reads and changes keys; every field is checked here. `actor` is who asks, for the audit log.

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

    async def create(self, request: KeyRequest, actor: str) -> tuple[KeyRecord, str]:
        """Make a key and return it with its whole text, the only copy there is.

        Raises:
            InvalidFieldError: a field breaks a rule.
            LimitExceededError: there are as many keys as there may be.
        """
        now = now_ms(self._clock)
        record, text = self._new(clean_key_request(request, now), now)
        return await self._store.create(record, actor=actor), text.text

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

    async def list_keys(self, page_size: int, page_token: str, asked: KeyFilter) -> Page[KeyRecord]:
        """Read a page of keys, oldest first; it may be short before the last one.

        Raises:
            InvalidFieldError: a field breaks a rule.
        """
        owner = clean_owner_filter(asked.owner)
        clean_environment_filter(asked.environment)
        clean_name_filter(asked.name_contains)

        async def fetch(after: int, limit: int) -> tuple[Sequence[tuple[int, KeyRecord]], bool]:
            page = await self._store.list_keys(after=after, limit=limit, owner=owner)
            return page.rows, page.more

        return await filtered_page(fetch, asked.matches, clean_page_token(page_token), clean_page_size(page_size))

    async def update(self, key_id: str, paths: Sequence[str], request: KeyRequest, etag: str, actor: str) -> KeyRecord:
        """Change the fields of a key that a mask names; return the key as it is then.

        Args:
            key_id: of the key.
            paths: of the mask.
            request: the new values.
            etag: that the key must have; empty: any.
            actor: who asks.

        Raises:
            InvalidFieldError: the mask or a value breaks a rule.
            KeyNotFoundError: no key has this id.
            KeyRevokedError: the key is revoked.
            EtagMismatchError: the key has another etag.
        """
        key_id, now = clean_key_id(key_id), now_ms(self._clock)
        patch = clean_patch(paths, request, etag, now)
        return await self._store.update(key_id, lambda record: patch.applied(record, now), actor=actor)

    async def rotate(
        self, key_id: str, grace_ms: int | None, expire_ms: int | None, actor: str
    ) -> tuple[KeyRecord, KeyRecord, str]:
        """Make a key that takes the place of another one; return the old one, the new one, and its whole text.

        Args:
            key_id: of the old key.
            grace_ms: how long it stays good; must be given.
            expire_ms: when the new key expires, Unix milliseconds; None: as the old one.
            actor: who asks.

        Raises:
            InvalidFieldError: a field breaks a rule.
            KeyNotFoundError: no key has this id.
            KeyRevokedError: the key is revoked.
            KeyNotActiveError: the key is disabled or expired.
            LimitExceededError: there are as many keys as there may be.
        """
        key_id, grace_ms, now = clean_key_id(key_id), clean_grace(grace_ms), now_ms(self._clock)
        expire_ms = clean_expiry(expire_ms, now)

        made: list[KeyText] = []

        def rotation(record: KeyRecord) -> tuple[KeyRecord, KeyRecord]:
            environment = record.environment if record.environment in ENVIRONMENTS else DEFAULT_ENVIRONMENT
            made.append(generate(environment, self._random_below))
            return Rotation(made[-1], self._peppers, grace_ms, expire_ms, now).applied(record)

        # A store calls it again when another change came between: the last one is what it stored.
        old, new = await self._store.rotate(key_id, rotation, actor=actor)
        return old, new, made[-1].text

    async def set_state(self, key_id: str, state: KeyState, reason: str, actor: str) -> KeyRecord:
        """Change the state of a key; idempotent. Return the key as it is then.

        Raises:
            InvalidFieldError: a field breaks a rule.
            KeyNotFoundError: no key has this id.
            KeyRevokedError: the key is revoked, and the change would lead elsewhere.
        """
        key_id, reason = clean_key_id(key_id), clean_reason(reason)
        now = now_ms(self._clock)
        return await self._store.update(key_id, lambda record: change_state(record, state, reason, now), actor=actor)

    async def delete(self, key_id: str, reason: str, actor: str) -> None:
        """Remove a key for good.

        Raises:
            InvalidFieldError: a field breaks a rule.
            KeyNotFoundError: no key has this id.
        """
        key_id, reason = clean_key_id(key_id), clean_reason(reason)
        await self._store.delete(key_id, now_ms=now_ms(self._clock), actor=actor, reason=reason)

    async def audit_entries(self, page_size: int, page_token: str, asked: AuditFilter) -> Page[AuditEntry]:
        """Read a page of the audit log, newest first.

        It is full before the last one, unless `asked` sifts: then it may be short.

        Raises:
            InvalidFieldError: a field breaks a rule.
        """
        if asked.key_id:
            clean_key_id(asked.key_id)
        clean_actor_filter(asked.actor)

        async def fetch(before: int, limit: int) -> tuple[Sequence[tuple[int, AuditEntry]], bool]:
            entries = await self._store.audit_entries(before=before, limit=limit + 1, key_id=asked.key_id)
            return [(entry.revision, entry) for entry in entries[:limit]], len(entries) > limit

        position, size = clean_page_token(page_token), clean_page_size(page_size)
        return await filtered_page(fetch, asked.matches, position, size, batch=BATCH if asked.sifts else size)

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
            verification_rate=spec.verification_rate,
            max_uses=spec.max_uses,
        )
        return record, text
