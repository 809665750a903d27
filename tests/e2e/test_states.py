"""Every state of the page, in both themes, wide and on a phone: nothing that axe-core finds, nothing cut off; and a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browser import PHONE, WIDE
from tests.support.demo_page import DemoPage, People
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

SIZES = {"wide": WIDE, "phone": PHONE}
_TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look_at(page: DemoPage, state: str, pictures: Path, engine: str, sizes: tuple[str, ...] = tuple(SIZES)) -> None:
    """Look at a state in all its appearances."""
    for size in sizes:
        page.tab.resize(*SIZES[size])
        for theme in ("light", "dark"):
            page.tab.run("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            page.tab.screenshot(pictures / f"{state}-{size}-{theme}-{engine}.png")
            assert violations(page.tab) == [], f"{state}, {size}, {theme}"
        assert page.tab.run(_TOO_WIDE) <= 0, f"{state} is wider than the window ({size})"


def test_before_and_after_a_refusal(people: People, engine: str, pictures: Path) -> None:
    page = people("alice")
    look_at(page, "sign-in", pictures, engine)
    page.sign_in("expired-test-key")
    page.wait_for("connection-status", "Error")
    look_at(page, "refused", pictures, engine)


def test_connected(people: People, engine: str, pictures: Path) -> None:
    alice, bob = people("alice"), people("bob")
    for page in (alice, bob):
        page.connect()
    alice.tab.type("thread-title", "Release 2")
    alice.tab.click("create-thread")
    alice.wait(lambda: "Release 2" in alice.text("conversation-title"), "the thread is open")
    alice.join("deployments")
    alice.tab.click("channel-lobby")
    alice.wait(lambda: sorted(alice.members) == ["alice", "bob"], "both are here")
    alice.write("The new edge is out in Frankfurt.", "Nobody was disconnected: it drained in 4 s.")
    bob.wait(lambda: len(bob.messages) == 2, "has read it")
    bob.write(
        "Then I take the next one. https://example.com/a/very/long/address/that/goes/on/and/on/until/it/has/to/be/broken"
    )
    alice.wait(lambda: len(alice.messages) == 3, "has read it")
    alice.wait(lambda: alice.texts("delivery") == ["seen by 1", "seen by 1"], "knows that it was read")
    alice.wait(lambda: "ms" in alice.text("latency"), "has measured the way")
    look_at(alice, "connected", pictures, engine)
    for view in ("channels", "connection", "chat"):
        alice.tab.click(f"view-{view}")
        look_at(alice, f"view-{view}", pictures, engine, sizes=("phone",))


def test_reconnecting(people: People, engine: str, pictures: Path, proxy: TcpProxy) -> None:
    page = people("alice", url=f"http://{proxy.addresses()[0]}")
    page.connect()
    page.write("before")
    page.wait_for("delivery", "stored")
    proxy.cut()
    page.wait_for("connection-status", "Reconnecting")
    page.write("and this one waits")
    page.wait(lambda: page.texts("delivery") == ["stored", "sending"], "one waits")
    look_at(page, "reconnecting", pictures, engine)
    page.tab.click("view-connection")
    look_at(page, "outage", pictures, engine, sizes=("phone",))
    proxy.restore()
    page.wait_until_authenticated()
