"""`python -m service_runtime.probe URL`: asks a service for its health, for images that hold neither a shell nor curl.

Exit codes: 0 it answers with 2xx, 1 it does not, 2 wrong use. It imports the standard library only, because it is run every
few seconds.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 3.0
WELL, UNWELL, WRONG_USE = 0, 1, 2


def probe(url: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Ask for a URL; return None if the answer is 2xx, else what is wrong.

    Args:
        url: `http://host:port/path`.
        timeout_s: How long to wait for each step, in seconds.

    Raises:
        ValueError: It is no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("an http:// URL is expected")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        words = answer.read(512).decode(errors="replace")
    except (OSError, http.client.HTTPException) as problem:
        return f"no answer: {problem}"
    finally:
        connection.close()
    return None if 200 <= answer.status < 300 else f"{answer.status} {words}"


def main(arguments: Sequence[str]) -> int:
    """Probe, say what is wrong, and return the exit code."""
    try:
        (url,) = arguments
        problem = probe(url)
    except ValueError:
        sys.stderr.write("usage: python -m service_runtime.probe http://127.0.0.1:9100/ready\n")
        return WRONG_USE
    if problem is None:
        return WELL
    sys.stderr.write(f"{problem}\n")
    return UNWELL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
