"""Verification as a use case: from the text a holder sent to a verdict."""

from collections.abc import Callable, Mapping

from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError, KeyFormatError
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import parse
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import Clock, KeyStore, now_ms
from auth_service.core.verification import NO_USE, Use, Verdict, VerdictCode, judge


class Verifier:
    """Answers if a key is good, and for what. Has no side effects.

    Args:
        store: where the keys are.
        peppers: what secrets are hashed under.
        clock: the present moment.
        ttl_ms: how long a verdict may be used without a watch.
        seen_revision: the revision up to which this process has seen every change.
        named_keys: the keys that are known by name, text to key id; empty in production mode.
    """

    def __init__(
        self,
        store: KeyStore,
        peppers: Peppers,
        clock: Clock,
        *,
        ttl_ms: int,
        seen_revision: Callable[[], int],
        named_keys: Mapping[str, str],
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._seen_revision = seen_revision
        self._named_keys = named_keys

    async def verify(self, api_key: str, use: Use = NO_USE, client_address: str = "") -> Verdict:
        """Return the verdict on a key as its holder sent it. A malformed one never reaches the store."""
        revision = self._seen_revision()
        return self._judge(await self._find(api_key), use, revision)

    async def introspect(self, api_key: str, use: Use = NO_USE, client_address: str = "") -> Verdict:
        """Return the verdict that `verify` would give, without side effects."""
        return await self.verify(api_key, use, client_address)

    async def check(self, key_id: str, use: Use) -> Verdict:
        """Return the verdict on a key that was verified before, by its id."""
        revision = self._seen_revision()
        return self._judge(await self._store.get(key_id), use, revision)

    async def admit(self, token: str, use: Use) -> str:
        """Let a caller in that shows an API key as its credential, and return the key's id.

        A key that is limited to domains or workspaces is no caller of this service, whatever it permits:
        it could make itself another one without those limits.

        Raises:
            CallerUnknownError: the key is not good.
            CallerNotAllowedError: the key is good, but lacks the permission for `use` or is limited.
        """
        return self._admit(await self._find(token), use)

    async def admit_again(self, key_id: str, use: Use) -> str:
        """Do as `admit` for a caller that was let in before, by the id of its key."""
        return self._admit(await self._store.get(key_id), use)

    def _admit(self, record: KeyRecord | None, use: Use) -> str:
        verdict = self._judge(record, use, 0)
        if record is None or verdict.code not in (VerdictCode.VALID, VerdictCode.INSUFFICIENT_PERMISSIONS):
            raise CallerUnknownError("the credential is not known, or no longer good")
        if verdict.missing:
            raise CallerNotAllowedError(f"the caller's key lacks the permission {verdict.missing}")
        if record.allowed_domains or record.allowed_workspaces:
            raise CallerNotAllowedError("the caller's key is limited to domains or workspaces")
        return record.key_id

    async def _find(self, api_key: str) -> KeyRecord | None:
        key_id, secret = self._named_keys.get(api_key), api_key
        if key_id is None:
            try:
                key = parse(api_key)
            except KeyFormatError:
                return None
            key_id, secret = key.key_id, key.secret
        record = await self._store.get(key_id)
        return record if self._peppers.matches(record, secret) else None

    def _judge(self, record: KeyRecord | None, use: Use, revision: int) -> Verdict:
        return judge(record, use, now_ms(self._clock), ttl_ms=self._ttl_ms, revision=revision)
