"""How a key record lies in Redis: `<revision> <JSON>`, so that a script can give it a revision without reading it."""

import json

from auth_service.adapters.record_json import record_of, to_text, values_of
from auth_service.core.keys import KeyRecord


def to_body(record: KeyRecord) -> bytes:
    """Return a record as JSON, without its revision."""
    values = values_of(record)
    del values["revision"]
    return to_text(values).encode()


def from_value(value: bytes) -> KeyRecord:
    """Return the record of what is stored."""
    revision, _, body = value.partition(b" ")
    return record_of({**json.loads(body), "revision": int(revision)})
