"""Verifies the API key on stdin: `python verify.py < file-with-the-key`. Ends with 0 if it may join the channel `orders`."""

import asyncio
import os
import sys

from tidewire_client import KeyVerifier


async def main() -> int:
    """Verify one key; a service makes one verifier at its start, and keeps it."""
    target = os.environ.get("TIDEWIRE_AUTH_TARGET", "127.0.0.1:50051")
    verifier = KeyVerifier(target, service_token=os.environ["TIDEWIRE_SERVICE_TOKEN"])
    await verifier.start()
    try:
        verdict = await verifier.verify(sys.stdin.readline().strip(), action="join", channel="orders")
    finally:
        await verifier.close()
    print(verdict.code.name, verdict.key_id, verdict.owner, verdict.missing)
    return 0 if verdict.allowed else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
