"""Reads out of the contracts what their comments promise."""

from __future__ import annotations

import re

import grpc

from tests.support.processes import ROOT

_REASON = re.compile(r"((?:\s*//[^\n]*\n)+)\s*ERROR_REASON_(\w+) = (\d+);")
_STATUS = re.compile(r"Status ([A-Z_]+)")


def documented_reasons(proto: str) -> dict[str, tuple[int, grpc.StatusCode, bool]]:
    """Return the reasons of a contract: number, status, and if the comment says that repeating is safe."""
    text = (ROOT / "protos" / proto).read_text()
    found = {}
    for comment, name, number in _REASON.findall(text):
        status = _STATUS.search(comment)
        if status is not None:
            found[name] = (int(number), grpc.StatusCode[status[1]], "safe to repeat" in comment)
    return found
