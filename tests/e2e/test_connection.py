"""Connecting and authenticating, as people see it, in each engine."""

from __future__ import annotations

import pytest

from tests.support.demo_page import People
from tests.support.services import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def test_at_first_nothing_is_connected(people: People) -> None:
    page = people("alice")
    assert (page.connection, page.authentication) == ("Disconnected", "Not Authenticated")
    assert page.texts("error-message") == page.texts("reconnect-info") == page.texts("error-details") == []


def test_a_good_key_is_authenticated(people: People) -> None:
    page = people("alice")
    page.watch_states()
    page.connect()
    assert page.shown_states == [
        "Disconnected, Not Authenticated",
        "Connecting, Not Authenticated",
        "Connected, Authenticated",
    ]
    assert page.texts("error-message") == []


@pytest.mark.parametrize(
    ("key", "message", "details"),
    [
        ("no-key-at-all", "Invalid API key", "invalid_key · code 403"),
        ("expired-test-key", "Token expired", "token_expired · code 403"),
    ],
)
def test_a_bad_key_is_refused_and_said(people: People, key: str, message: str, details: str) -> None:
    page = people("alice")
    page.sign_in(key)
    page.wait_for("connection-status", "Error")
    assert page.authentication == "Not Authenticated"
    assert (page.text("error-message"), page.text("error-details")) == (message, details)
    # A refusal is final: it does not come back by itself.
    assert page.texts("reconnect-info") == []


def test_after_a_refusal_a_good_key_is_authenticated(people: People) -> None:
    page = people("alice")
    page.sign_in("expired-test-key")
    page.wait_for("connection-status", "Error")
    page.tab.click("sign-out")
    page.wait_for("connection-status", "Disconnected")
    assert page.texts("error-message") == []
    page.connect()


def test_after_cleanup_all_is_as_at_first(people: People) -> None:
    page = people("alice")
    page.connect()
    page.tab.click("sign-out")
    page.wait_for("connection-status", "Disconnected")
    assert page.authentication == "Not Authenticated"
    assert page.texts("error-message") == page.texts("reconnect-info") == []
    page.connect()
    assert page.messages == []


def test_a_key_that_is_revoked_ends_a_live_connection(people: People, gateway: Gateway) -> None:
    admin = gateway.key_admin()
    key = admin.create()
    page = people("alice")
    page.connect(key.api_key)
    admin.revoke(key)
    page.wait_for("connection-status", "Error")
    assert page.authentication == "Not Authenticated"
    assert page.text("error-message") == "API key revoked"


def test_the_key_is_nowhere_in_the_page(people: People, gateway: Gateway) -> None:
    key = gateway.key_admin().create()
    page = people("alice")
    page.connect(key.api_key)
    page.write("Hello")
    page.wait_for_messages("Hello")
    everything = page.tab.run(
        "() => [document.documentElement.outerHTML, location.href, JSON.stringify(localStorage),"
        " JSON.stringify(sessionStorage), document.cookie,"
        " ...[...document.querySelectorAll('input')].map((input) => input.value)].join()"
    )
    assert key.api_key not in everything
    assert "connection_success" in everything  # the frames were shown
