"""Where a client came from, and that it cannot make it up."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ws_edge.adapters.client_address import ClientAddresses


def request(remote: str | None, *forwarded: str) -> web.Request:
    headers = CIMultiDict([("X-Forwarded-For", each) for each in forwarded])
    return make_mocked_request("GET", "/", headers=headers).clone(remote=remote or "")


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("127.0.0.1", ["made-up, 198.51.100.9"], "198.51.100.9"),
        ("127.0.0.1", ["203.0.113.5, 198.51.100.9", "10.0.0.2"], "198.51.100.9"),
        ("::ffff:10.0.0.2", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", [], ""),
        ("127.0.0.1", ["made-up"], ""),
        ("127.0.0.1", ["10.0.0.3"], ""),
        (None, [], ""),
    ],
)
def test_an_address_is_believed_as_far_as_trusted_proxies_wrote_it(
    remote: str | None, forwarded: list[str], address: str
) -> None:
    addresses = ClientAddresses(["127.0.0.0/8", "10.0.0.0/8"])
    assert addresses.of(request(remote, *forwarded)) == address


@pytest.mark.parametrize(
    ("peer", "trusted"), [("127.0.0.1", True), ("::ffff:10.0.0.2", True), ("192.0.2.1", False), ("", False)]
)
def test_a_peer_is_a_trusted_proxy_or_not(peer: str, trusted: bool) -> None:
    assert ClientAddresses(["127.0.0.0/8", "10.0.0.0/8"]).trusts(peer) is trusted
