"""Who counts as a service: whoever shows the service token, or a named certificate and no other credential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from session_service.adapters.grpc_caller import Callers
from session_service.core.errors import CallerNotAllowed, CallerUnknown

TOKEN = "the-service-token"


class Call:
    """What a call carries."""

    def __init__(self, credential: str | None, name: str | None) -> None:
        self._metadata = () if credential is None else (("authorization", credential),)
        self._names = {} if name is None else {"peer_dns": [name.encode()]}

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._names


def admit_service(credential: str | None, name: str | None) -> None:
    nobody: Any = None
    context: Any = Call(credential, name)
    Callers(nobody, TOKEN, frozenset({"edge.tidewire"})).admit_service(context)


@pytest.mark.parametrize(
    ("credential", "name"), [(f"Bearer {TOKEN}", None), (f"Bearer {TOKEN}", "other"), (None, "edge.tidewire")]
)
def test_services_are_let_in(credential: str | None, name: str | None) -> None:
    admit_service(credential, name)


@pytest.mark.parametrize(
    ("credential", "name"), [(None, None), (None, "other"), ("Basic x", "edge.tidewire"), ("Bearer ", "edge.tidewire")]
)
def test_who_shows_nothing_known_is_not(credential: str | None, name: str | None) -> None:
    with pytest.raises(CallerUnknown):
        admit_service(credential, name)


def test_another_bearer_is_no_service_whatever_its_certificate() -> None:
    with pytest.raises(CallerNotAllowed):
        admit_service("Bearer other", "edge.tidewire")
