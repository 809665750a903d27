"""Entries of the key store's streams: their ids are revisions."""

from collections.abc import Sequence


def revision_of(entry_id: bytes) -> int:
    """Return the revision of an entry, by its id."""
    return int(entry_id.partition(b"-")[0])


def fields_of(pairs: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the fields of an entry, of names and values in turn."""
    return dict(zip(pairs[::2], pairs[1::2], strict=True))
