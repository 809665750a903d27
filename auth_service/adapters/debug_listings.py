"""What the auth service shows on its admin port: who watches key changes. Never a key."""

from collections.abc import Mapping
from typing import Any

from auth_service.adapters.watch_hub import WatchHub
from service_runtime.clock import Clock
from service_runtime.debugging.listings import Listing, Row


def auth_listings(hub: WatchHub, clock: Clock) -> Mapping[str, Listing[Any]]:
    """Return what can be looked at, by the name of its endpoint.

    Args:
        hub: knows the watchers.
        clock: for ages.
    """

    def watcher(number: int) -> Row | None:
        found = hub.watchers.get(number)
        if found is None:
            return None
        return {
            "id": number,
            "state": "watching",
            "caller": found.actor,
            "changes_waiting": found.waiting,
            "age_s": round(clock.monotonic() - found.since_s, 3),
        }

    return {"connections": Listing(lambda: hub.watchers, watcher, int)}
