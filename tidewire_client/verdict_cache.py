"""Verdicts that are known, and which of them may still be used.

The invariant: a verdict that was made before a change of its key is never kept after that change was seen, in whatever order
the two arrive. Each change leaves its revision behind, and a later fill with an older revision is not taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from tidewire_client.verdict import Verdict, VerdictCode

# An answer that is on its way while more keys change than these is asked for again, whatever its key.
MAX_CHANGES: Final = 4096


class VerdictCache:
    """A bounded cache, the least recently used goes first.

    Args:
        capacity: Entries at most; as many revisions of changes are remembered, but no more than `MAX_CHANGES`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._max_changes = min(capacity, MAX_CHANGES)
        self._entries: OrderedDict[Hashable, Verdict] = OrderedDict()
        self._of_key: dict[str, set[Hashable]] = {}
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._floor = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, question: Hashable, now_s: float) -> Verdict | None:
        """Return what is known.

        Args:
            question: What was asked.
            now_s: The time, seconds since the Unix epoch: a key is good strictly before its expiry.
        """
        verdict = self._entries.get(question)
        if verdict is None:
            return None
        if verdict.expire_time_s is not None and now_s >= verdict.expire_time_s:
            self._drop(question)
            return None
        self._entries.move_to_end(question)
        return verdict

    def put(self, question: Hashable, verdict: Verdict) -> bool:
        """Keep an answer; says if it was kept: not without a key, not if the key changed since it was made, and
        not if it is good for one use only.
        """
        if not verdict.key_id or not verdict.reusable or self.outdated(verdict):
            return False
        if verdict.code not in (VerdictCode.VALID, VerdictCode.INSUFFICIENT_PERMISSIONS, VerdictCode.FORBIDDEN):
            return False
        self._drop(question)
        self._entries[question] = verdict
        self._of_key.setdefault(verdict.key_id, set()).add(question)
        if len(self._entries) > self._capacity:
            self._drop(next(iter(self._entries)))
        return True

    def outdated(self, verdict: Verdict) -> bool:
        """Say if the verdict's key changed after the verdict was made."""
        return bool(verdict.key_id) and verdict.revision < max(self._changed.get(verdict.key_id, 0), self._floor)

    def change(self, key_id: str, revision: int) -> None:
        """Forget all that is known of a key, and take nothing made before `revision` for it."""
        for question in list(self._of_key.get(key_id, ())):
            self._drop(question)
        self._changed[key_id] = max(revision, self._changed.pop(key_id, 0))
        if len(self._changed) > self._max_changes:
            # What is forgotten here is guarded by a floor for all keys instead.
            self._floor = max(self._floor, self._changed.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget all verdicts, but no change."""
        self._entries.clear()
        self._of_key.clear()

    def begin_at(self, revision: int) -> None:
        """Forget all, and take nothing made before `revision`, whatever its key: every change after it will be told.

        A store that was replaced may begin at a lower revision than the one before had: then what that one told is void.
        """
        self.clear()
        self._changed.clear()
        self._floor = revision

    def _drop(self, question: Hashable) -> None:
        verdict = self._entries.pop(question, None)
        if verdict is None:
            return
        questions = self._of_key[verdict.key_id]
        questions.discard(question)
        if not questions:
            del self._of_key[verdict.key_id]
