"""Names in a certificate, as the standard library tells of them."""

from __future__ import annotations

from service_runtime.peer_certificate import peer_names


def test_names_come_in_the_order_uris_dns_common() -> None:
    certificate = {
        "subject": ((("organizationName", "o"),), (("commonName", "common"),)),
        "subjectAltName": (("DNS", "a.test"), ("URI", "spiffe://x"), ("IP Address", "127.0.0.1"), ("DNS", "b.test")),
    }
    assert peer_names(certificate) == ("spiffe://x", "a.test", "b.test", "common")


def test_without_a_certificate_there_are_none() -> None:
    assert peer_names(None) == ()
    assert peer_names({}) == ()
