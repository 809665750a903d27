"""Verification as a use case: from the text a holder sent to a verdict.

The order is: who has failed too often waits; then the key is found, and judged; then, if it is good and has bounds, the
verification is charged to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from auth_service.core.charging import charged, limited
from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError, KeyFormatError
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import parse
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import Clock, KeyStore, UseCharger, monotonic_us, now_ms, now_us
from auth_service.core.quick_verdicts import QuickVerdict, QuickVerdicts
from auth_service.core.throttle import Source, Throttle, source_of
from auth_service.core.verification import NO_USE, Use, Verdict, VerdictCode, judge


@dataclass(frozen=True, slots=True)
class Attempt:
    """A key as somebody sent it.

    Args:
        api_key: the text.
        use: what it is wanted for.
        client_address: where it came from; empty: not known.
        at: where its fields are in the request, e.g. `requests[3].`.
    """

    api_key: str = field(repr=False)
    use: Use = NO_USE
    client_address: str = ""
    at: str = ""


# A key whose secret is hashed under a pepper that is not the current one, and its hash under that.
OnOutdated = Callable[[KeyRecord, bytes], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a verifier tells, and does not wait for.

    Args:
        throttled: an attempt has to wait.
        outdated: a key's secret can be hashed under the current pepper.
    """

    throttled: Callable[[], None] = lambda: None
    outdated: OnOutdated = lambda record, secret_hash: None


NO_HOOKS: Final = Hooks()


class Verifier:
    """Answers if a key is good, and for what.

    Args:
        store: where the keys are.
        charger: counts the uses of keys that have bounds.
        throttle: counts attempts that failed.
        peppers: what secrets are hashed under.
        clock: the present moment.
        ttl_ms: how long a verdict may be used without a watch.
        seen_revision: the revision up to which this process has seen every change.
        named_keys: the keys that are known by name, text to key id; empty in production mode.
        hooks: what is to be told.
        quick: where verdicts are kept that can be given again at once; None: nowhere.
    """

    def __init__(
        self,
        store: KeyStore,
        charger: UseCharger,
        throttle: Throttle,
        peppers: Peppers,
        clock: Clock,
        *,
        ttl_ms: int,
        seen_revision: Callable[[], int],
        named_keys: Mapping[str, str],
        hooks: Hooks = NO_HOOKS,
        quick: QuickVerdicts | None = None,
    ) -> None:
        self._store = store
        self._charger = charger
        self._throttle = throttle
        self._peppers = peppers
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._seen_revision = seen_revision
        self._named_keys = named_keys
        self._hooks = hooks
        self._quick = quick

    def verify_quickly(
        self, api_key: str, domain: str, workspace: str, action: str, channel: str, client_address: str
    ) -> QuickVerdict | None:
        """Return what `verify` would, if that is known without asking anybody; None: ask `verify`.

        The fields are those of a `Use` and need not be checked before: what is kept was.
        """
        if self._quick is None:
            return None
        found = self._quick.find(api_key, domain, workspace, action, channel, now_ms(self._clock))
        if found is not None and client_address:
            known = self._throttle.knows(client_address, found.key_id, monotonic_us(self._clock))
            return found if known else None
        return found

    async def verify(self, api_key: str, use: Use = NO_USE, client_address: str = "") -> Verdict:
        """Return the verdict on a key as its holder sent it, and charge it to the key if it is VALID.

        A malformed key never reaches the store.

        Args:
            api_key: the text.
            use: what it is wanted for.
            client_address: where it came from; empty: not known.

        Raises:
            InvalidFieldError: `client_address` is none.
            StoreUnavailableError: nothing is known of the key, or of its uses.
        """
        verdict, bounded = await self._judged(api_key, use, source_of(client_address, api_key), self._hooks.outdated)
        if bounded is None:
            return verdict
        (charge,) = await self._charger.charge([bounded], now_us(self._clock))
        return charged(verdict, charge)

    async def verify_all(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        """Do as `verify` for several keys, in their order; what is to be charged goes to the store together.

        Raises:
            InvalidFieldError: one `client_address` is none; nothing is done then.
            StoreUnavailableError: nothing is known of one of the keys, or of its uses.
        """
        sources = [source_of(attempt.client_address, attempt.api_key, attempt.at) for attempt in attempts]
        judged = [
            await self._judged(attempt.api_key, attempt.use, source, self._hooks.outdated)
            for attempt, source in zip(attempts, sources, strict=True)
        ]
        bounded = [record for _, record in judged if record is not None]
        charges = iter(await self._charger.charge(bounded, now_us(self._clock)) if bounded else ())
        return [verdict if record is None else charged(verdict, next(charges)) for verdict, record in judged]

    async def introspect(self, api_key: str, use: Use = NO_USE, client_address: str = "") -> Verdict:
        """Return the verdict that `verify` would give, without charging it; raises as `verify`.

        An attempt that fails counts all the same: else keys could be tried out here.
        """
        verdict, bounded = await self._judged(api_key, use, source_of(client_address, api_key), None)
        if bounded is None:
            return verdict
        return charged(verdict, await self._charger.look(bounded, now_us(self._clock)))

    async def check(self, key_id: str, use: Use) -> Verdict:
        """Return the verdict on a key that was verified before, by its id; its uses do not matter."""
        revision = self._seen_revision()
        return self._judge(await self._store.get(key_id), use, revision)

    async def admit(self, token: str, use: Use) -> str:
        """Let a caller in that shows an API key as its credential, and return the key's id; it is not charged.

        A key that is limited to domains or workspaces is no caller of this service, whatever it permits:
        it could make itself another one without those limits.

        Raises:
            CallerUnknownError: the key is not good.
            CallerNotAllowedError: the key is good, but lacks the permission for `use` or is limited.
        """
        key_id, secret = self._parsed(token)
        return self._admit(await self._found(key_id, secret), use)

    async def admit_again(self, key_id: str, use: Use) -> str:
        """Do as `admit` for a caller that was let in before, by the id of its key."""
        return self._admit(await self._store.get(key_id), use)

    def _admit(self, record: KeyRecord | None, use: Use) -> str:
        verdict = self._judge(record, use, 0)
        if verdict.code is VerdictCode.INSUFFICIENT_PERMISSIONS:
            raise CallerNotAllowedError(f"the caller's key lacks the permission {verdict.missing}")
        if verdict.code is VerdictCode.FORBIDDEN:
            raise CallerNotAllowedError("the caller's key is limited to domains or workspaces")
        if verdict.code is not VerdictCode.VALID:
            raise CallerUnknownError("the credential is not known, or no longer good")
        return verdict.key_id

    async def _judged(
        self, api_key: str, use: Use, source: Source | None, outdated: OnOutdated | None
    ) -> tuple[Verdict, KeyRecord | None]:
        """Return the verdict before any charge, and the key if the verdict is to be charged to it."""
        revision = self._seen_revision()
        key_id, secret = self._parsed(api_key)
        if source is not None:
            wait_us = self._throttle.wait_us(source, key_id, monotonic_us(self._clock))
            if wait_us:
                self._hooks.throttled()
                return charged(Verdict(VerdictCode.NOT_FOUND, revision, 0), limited(wait_us)), None
        record = await self._found(key_id, secret)
        verdict = self._judge(record, use, revision)
        if source is not None:
            self._note(source, verdict)
        if record is None:
            return verdict, None
        if record.pepper_version != self._peppers.current:
            if outdated is not None:
                outdated(record, self._peppers.hash(secret))
        elif self._quick is not None and verdict.code is VerdictCode.VALID and not record.charged:
            self._quick.keep(api_key, use, record, verdict)
        return verdict, record if record.charged and verdict.code is VerdictCode.VALID else None

    def _note(self, source: Source, verdict: Verdict) -> None:
        if verdict.code is VerdictCode.VALID:
            self._throttle.succeeded(source, verdict.key_id, monotonic_us(self._clock))
        elif verdict.code is VerdictCode.NOT_FOUND:
            self._throttle.failed(source, monotonic_us(self._clock))

    def _parsed(self, api_key: str) -> tuple[str, str]:
        """Return id and secret of a key; the id is empty if the text is not that of a key."""
        if api_key in self._named_keys:
            return self._named_keys[api_key], api_key
        try:
            key = parse(api_key)
        except KeyFormatError:
            return "", ""
        return key.key_id, key.secret

    async def _found(self, key_id: str, secret: str) -> KeyRecord | None:
        """Return the key with this id, if it is there and the secret is its own."""
        if not key_id:
            return None
        record = await self._store.get(key_id)
        return record if self._peppers.matches(record, secret) else None

    def _judge(self, record: KeyRecord | None, use: Use, revision: int) -> Verdict:
        return judge(record, use, now_ms(self._clock), ttl_ms=self._ttl_ms, revision=revision)
