"""Connections that break: the page comes back by itself, says so, and shows every message once."""

from __future__ import annotations

import pytest

from tests.support.demo_page import DemoPage, People
from tests.support.services import Gateway
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def cut_off(people: People, proxy: TcpProxy) -> DemoPage:
    """A page behind the proxy, connected."""
    page = people("alice", url=f"http://{proxy.addresses()[0]}")
    page.connect()
    return page


def test_a_connection_that_is_cut_comes_back_authenticated(people: People, proxy: TcpProxy, cut_off: DemoPage) -> None:
    bob = people("bob")
    bob.connect()
    cut_off.watch_states()
    proxy.cut()
    cut_off.wait_for("connection-status", "Reconnecting")
    assert cut_off.authentication == "Not Authenticated"
    bob.write("while you were away")
    bob.wait_for("delivery", "stored")
    # The waits grow while nobody is there, and each attempt is counted.
    cut_off.wait(lambda: cut_off.attempts >= 3, "has tried three times")
    assert cut_off.texts("error-message") != []
    proxy.restore()
    cut_off.wait_until_authenticated()
    cut_off.wait_for_messages("while you were away")
    assert cut_off.shown_states == [
        "Connected, Authenticated",
        "Reconnecting, Not Authenticated",
        "Connected, Authenticated",
    ]
    assert cut_off.texts("error-message") == cut_off.texts("reconnect-info") == []


def test_what_is_written_offline_is_sent_once_in_order(people: People, proxy: TcpProxy, cut_off: DemoPage) -> None:
    bob = people("bob")
    bob.connect()
    proxy.cut()
    cut_off.wait_for("connection-status", "Reconnecting")
    texts = [f"offline {number}" for number in range(10)]
    cut_off.write(*texts)
    assert set(cut_off.texts("delivery")) == {"sending"}
    proxy.restore()
    bob.wait_for_messages(*texts)
    cut_off.wait(lambda: "sending" not in cut_off.texts("delivery"), "all are stored")
    assert cut_off.messages == texts


def test_a_connection_that_swallows_everything_is_given_up(proxy: TcpProxy, cut_off: DemoPage) -> None:
    proxy.swallow_downstream()
    cut_off.write("into silence")
    cut_off.wait_for("connection-status", "Reconnecting")
    proxy.restore()
    cut_off.wait_until_authenticated()
    cut_off.wait_for_messages("into silence")
    cut_off.wait_for("delivery", "stored")


def test_an_edge_that_is_killed_is_found_again(people: People, gateway: Gateway) -> None:
    page = people("alice")
    page.connect()
    page.write("before")
    page.wait_for("delivery", "stored")
    gateway.edge.kill9()
    page.wait_for("connection-status", "Reconnecting")
    page.write("meanwhile")
    gateway.edge.start()
    page.wait_until_authenticated()
    page.wait_for_messages("before", "meanwhile")
    page.wait(lambda: page.texts("delivery") == ["stored", "stored"], "both are stored")
    page.write("after")
    page.wait_for_messages("before", "meanwhile", "after")


def test_a_session_service_that_is_killed_costs_no_connection_and_no_message(people: People, gateway: Gateway) -> None:
    alice, bob = people("alice"), people("bob")
    for page in (alice, bob):
        page.connect()
        page.watch_states()
    alice.write("before")
    bob.wait_for_messages("before")
    gateway.session.kill9()
    alice.write("meanwhile")
    gateway.session.start()
    alice.wait(lambda: "sending" not in alice.texts("delivery"), "knows what became of it")
    if alice.texts("again"):
        alice.tab.click("again")
    bob.wait_for_messages("before", "meanwhile")
    bob.write("after")
    alice.wait_for_messages("before", "meanwhile", "after")
    for page in (alice, bob):
        assert page.shown_states == ["Connected, Authenticated"]


def test_a_connection_can_be_broken_on_purpose_and_the_outage_is_listed(people: People) -> None:
    page = people("alice")
    page.connect()
    page.tab.click("break")
    page.wait(lambda: "back after" in page.text("outage"), "the outage is over")
    page.wait_until_authenticated()
    assert page.text("outage-count") == "1"


def test_cleanup_ends_attempts_to_come_back(proxy: TcpProxy, cut_off: DemoPage) -> None:
    proxy.cut()
    cut_off.wait(lambda: cut_off.attempts >= 2, "has tried twice")
    cut_off.tab.click("sign-out")
    cut_off.wait_for("connection-status", "Disconnected")
    assert cut_off.authentication == "Not Authenticated"
    assert cut_off.texts("error-message") == cut_off.texts("reconnect-info") == []
    refused = proxy.counters.refused
    proxy.restore()
    cut_off.connect()
    assert proxy.counters.refused == refused
