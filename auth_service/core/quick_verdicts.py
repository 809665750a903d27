"""Verdicts that can be given again at once: the same key, for the same use, and nothing has changed.

The invariant: what is found here is what a verification would say now. So only verdicts are kept that are VALID, cost the
key nothing, and were made of a record that is still the one in memory: whatever changes a key takes its record from there.
A key's text is not kept, but a keyed digest of it: it takes the place of form, checksum and pepper, and is as hard to guess.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from auth_service.core.key_format import MAX_KEY_CHARS
from auth_service.core.keys import KeyRecord
from auth_service.core.verification import Use, Verdict

DIGEST_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 32

# The digest of a key's text, domain, workspace, action and channel.
Question = tuple[bytes, str, str, str, str]


class QuickVerdict:
    """One verdict that is kept.

    Args:
        record: what it was made of.
        verdict: as it was made; the store's revision has gone on since.
        until_ms: from this moment on (Unix milliseconds) it would be another one; None: never.
    """

    __slots__ = ("encoded", "key_id", "record", "revision", "until_ms", "verdict")

    def __init__(self, record: KeyRecord, verdict: Verdict, until_ms: int | None) -> None:
        self.record = record
        self.key_id = record.key_id
        self.verdict = verdict
        self.until_ms = until_ms
        # For whoever sends it: the verdict in the form that is sent, and the store's revision that this form tells.
        self.encoded = b""
        self.revision = -1


class QuickVerdicts:
    """A bounded table of verdicts, which go with the record that they were made of.

    Args:
        recall: returns the record of a key if it is in memory.
        size: verdicts kept at most; the oldest goes first.
        digest_key: `DIGEST_KEY_BYTES` random bytes.
    """

    def __init__(self, recall: Callable[[str], KeyRecord | None], *, size: int, digest_key: bytes) -> None:
        self._recall = recall
        self._size = size
        self._digest = hashlib.blake2b(key=digest_key, digest_size=_DIGEST_BYTES)
        self._kept: dict[Question, QuickVerdict] = {}
        self._questions: dict[str, list[Question]] = {}

    def find(
        self, api_key: str, domain: str, workspace: str, action: str, channel: str, now_ms: int
    ) -> QuickVerdict | None:
        """Return the verdict on a key, if it is kept and still right; the fields are those of a `Use`, not yet checked."""
        if len(api_key) > MAX_KEY_CHARS:
            return None
        kept = self._kept.get((self._digest_of(api_key), domain, workspace, action, channel))
        if kept is None or (kept.until_ms is not None and now_ms >= kept.until_ms):
            return None
        return kept if self._recall(kept.key_id) is kept.record else None

    def keep(self, api_key: str, use: Use, record: KeyRecord, verdict: Verdict) -> None:
        """Keep a verdict that is VALID and was not charged, if its record is in memory.

        Args:
            api_key: a text that is the record's key.
            use: what it is wanted for, checked.
            record: the key.
            verdict: made of that record, just now, with nothing awaited since.
        """
        if self._recall(record.key_id) is not record:
            return
        kept = self._kept
        # A verdict may be used until `cache_ttl_ms` after it was made: in the last stretch before an expiry that becomes less.
        until_ms = None if record.expire_ms is None else record.expire_ms - verdict.cache_ttl_ms
        question = (self._digest_of(api_key), use.domain, use.workspace, use.action, use.channel)
        if kept.pop(question, None) is None:
            self._questions.setdefault(record.key_id, []).append(question)
        kept[question] = QuickVerdict(record, verdict, until_ms)
        if len(kept) > self._size:
            self._drop_oldest()

    def forget(self, key_id: str) -> None:
        """Drop the verdicts on one key, and with them the record that they hold: it has changed, or is not in memory."""
        for question in self._questions.pop(key_id, ()):
            del self._kept[question]

    def forget_all(self) -> None:
        """Drop every verdict."""
        self._questions.clear()
        self._kept.clear()

    def __len__(self) -> int:
        """How many verdicts are kept."""
        return len(self._kept)

    def _drop_oldest(self) -> None:
        question = next(iter(self._kept))
        key_id = self._kept.pop(question).key_id
        questions = self._questions[key_id]
        questions.remove(question)
        if not questions:
            del self._questions[key_id]

    def _digest_of(self, api_key: str) -> bytes:
        digest = self._digest.copy()
        digest.update(api_key.encode())
        return digest.digest()
