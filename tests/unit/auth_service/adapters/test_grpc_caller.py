"""Who is let in by what it shows: a certificate counts only where no other credential is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from auth_service.adapters.grpc_api.caller import Caller, Callers
from auth_service.core.callers import Group, parse_certificates
from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError
from auth_service.core.verification import Use

TOKEN = "the-service-token"
CERTIFICATES = parse_certificates("edge.tidewire=verify,watch;spiffe://prod/ops=*;Build Server=keys.read")


class NoKeys:
    """Knows no key."""

    async def admit(self, api_key: str, use: Use) -> str:
        raise CallerUnknownError("no such key")


class Call:
    """What a call carries."""

    def __init__(self, metadata: Sequence[tuple[str, str]] = (), **certificate: str) -> None:
        self._metadata = metadata
        self._certificate = certificate

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return {name: [value.encode()] for name, value in self._certificate.items()}


async def admit(call: Call, group: Group) -> Caller:
    verifier: Any = NoKeys()
    context: Any = call
    return await Callers(verifier, TOKEN, CERTIFICATES).admit(context, group)


@pytest.mark.parametrize(
    ("certificate", "group", "actor"),
    [
        ({"peer_dns": "edge.tidewire"}, Group.VERIFY, "certificate:edge.tidewire"),
        ({"peer_dns": "edge.tidewire"}, Group.WATCH, "certificate:edge.tidewire"),
        ({"peer_uri": "spiffe://prod/ops"}, Group.WRITE_KEYS, "certificate:spiffe://prod/ops"),
        ({"x509_common_name": "Build Server"}, Group.READ_KEYS, "certificate:Build Server"),
        (
            {"peer_dns": "edge.tidewire", "x509_common_name": "Build Server"},
            Group.READ_KEYS,
            "certificate:Build Server",
        ),
    ],
)
async def test_a_named_certificate_is_let_in_for_its_groups(
    certificate: dict[str, str], group: Group, actor: str
) -> None:
    assert await admit(Call(**certificate), group) == Caller(actor)


async def test_a_named_certificate_is_not_let_in_for_other_groups() -> None:
    with pytest.raises(CallerNotAllowedError, match=r"edge\.tidewire is not let in for keys\.write"):
        await admit(Call(peer_dns="edge.tidewire"), Group.WRITE_KEYS)


@pytest.mark.parametrize("certificate", [{}, {"peer_dns": "other"}, {"peer_email": "edge.tidewire"}])
async def test_others_are_not_known(certificate: dict[str, str]) -> None:
    with pytest.raises(CallerUnknownError, match="no credential"):
        await admit(Call(**certificate), Group.VERIFY)


@pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer ", "Basic YTpi", ""])
async def test_a_bad_credential_is_not_mended_by_a_good_certificate(shown: str) -> None:
    with pytest.raises(CallerUnknownError):
        await admit(Call([("authorization", shown)], peer_uri="spiffe://prod/ops"), Group.VERIFY)


async def test_the_service_token_needs_no_certificate() -> None:
    assert (await admit(Call([("authorization", f"Bearer {TOKEN}")]), Group.WRITE_KEYS)).actor == "service-token"


async def test_who_was_let_in_by_certificate_stays() -> None:
    verifier: Any = NoKeys()
    await Callers(verifier, TOKEN, CERTIFICATES).admit_again(Caller("certificate:edge.tidewire"), Group.WATCH)
