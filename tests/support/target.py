"""What a black-box test talks to: a gateway of the test run, or any address given by `TIDEWIRE_TEST_URL`.

TIDEWIRE_TEST_URL            http://host:8000, of an edge or of a balancer before several
TIDEWIRE_TEST_KEY            a key with all permissions there; default: valid-test-key
TIDEWIRE_TEST_DEBUG          0: the debug endpoint is off there
TIDEWIRE_TEST_AUTH_TARGET    host:50051 of an auth service, for tests that make keys; not given: they are skipped
TIDEWIRE_TEST_SESSION_TARGET host:50052 of a session service, for tests that call it; not given: they are skipped
TIDEWIRE_TEST_SERVICE_TOKEN  the credential for both
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.support.key_admin import KeyAdmin
from tests.support.processes import ServiceProcess
from tests.support.services import Gateway

DEVELOPMENT_KEY = "valid-test-key"


@dataclass(frozen=True)
class Target:
    """An address, and what is known of it."""

    http_url: str
    api_key: str = DEVELOPMENT_KEY
    has_debug: bool = True
    key_admin: KeyAdmin | None = None
    session_target: str | None = None
    service_token: str = ""

    @property
    def ws_url(self) -> str:
        return "ws" + self.http_url.removeprefix("http")

    @classmethod
    def of(cls, gateway: Gateway, edge: ServiceProcess | None = None) -> Target:
        """Return the target that an edge of a gateway is."""
        return cls(
            f"http://{(edge or gateway.edge).address}",
            key_admin=gateway.key_admin(),
            session_target=gateway.session.address,
            service_token=gateway.service_token,
        )

    @classmethod
    def from_environment(cls) -> Target | None:
        """Return the target that the environment names."""
        url = os.environ.get("TIDEWIRE_TEST_URL", "").rstrip("/")
        if not url:
            return None
        token = os.environ.get("TIDEWIRE_TEST_SERVICE_TOKEN", "")
        auth = os.environ.get("TIDEWIRE_TEST_AUTH_TARGET", "")
        return cls(
            url,
            api_key=os.environ.get("TIDEWIRE_TEST_KEY", DEVELOPMENT_KEY),
            has_debug=os.environ.get("TIDEWIRE_TEST_DEBUG", "1") != "0",
            key_admin=KeyAdmin(auth, token) if auth else None,
            session_target=os.environ.get("TIDEWIRE_TEST_SESSION_TARGET") or None,
            service_token=token,
        )
