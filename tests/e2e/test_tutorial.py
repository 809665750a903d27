"""The tutorial, step by step: its commands, its program, and two people in a browser."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.browser import Browsers
from tests.support.commands import ANY_PORTS, Command
from tests.support.demo_page import DemoPage
from tests.support.doc_blocks import named
from tests.support.doc_shell import Checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

READY = re.compile(r"^ready after .* edge (http\S+)  auth (\S+)  session (\S+)$", re.MULTILINE)
END_DEADLINE_S = 60.0


@pytest.fixture
def started(built_page: None, tmp_path: Path) -> Iterator[Command]:
    """The services, started as the first step says, on ports that are free here."""
    script, *arguments = named("tutorial-start").text.split()[1:]
    assert script == "scripts/manage.py"
    data_dir = ("--data-dir", str(tmp_path / "data"))
    command = Command("manage.py", *arguments, "--this-python", *ANY_PORTS, *data_dir, directory=tmp_path / "start")
    try:
        command.wait_for(READY.pattern.removeprefix("^").removesuffix("$"))
        yield command
        command.send(signal.SIGINT)
        assert command.finish(END_DEADLINE_S) == 0
    finally:
        command.kill()


def test_from_nothing_to_two_browsers_and_a_back_end(started: Command, browsers: Browsers, tmp_path: Path) -> None:
    found = READY.search(started.out)
    assert found
    edge, auth, session = found.groups()
    checkout = Checkout(tmp_path / "checkout", TIDEWIRE_AUTH_TARGET=auth)
    with ExitStack() as pages:
        alice, bob = (
            DemoPage(pages.enter_context(browsers.tab("chromium")), edge, name, "personal") for name in ("alice", "bob")
        )
        for page in (alice, bob):
            page.connect("development")
        alice.wait(lambda: sorted(alice.members) == ["alice", "bob"], "sees bob")
        alice.write("Hello")
        bob.wait_for_messages("Hello")
        alice.wait_for("delivery", "seen by 1")
        alice.tab.click("break")
        bob.write("You were away")
        alice.wait_for_messages("Hello", "You were away")

        checkout.run("tutorial-key")
        source = named("tutorial-publish").text
        assert "127.0.0.1:50052" in source
        (checkout.folder / "publish.py").write_text(source.replace("127.0.0.1:50052", session))
        assert re.search(r"^stored at #3$", checkout.run("tutorial-run"), re.MULTILINE)
        for page in (alice, bob):
            page.wait_for_messages("Hello", "You were away", "Fresh bread at five")
        assert alice.texts("author")[-1] == "shop"

        assert "is revoked for ever" in checkout.run("tutorial-revoke")
        refused = checkout.attempt(named("tutorial-run").text)
        assert refused.returncode != 0
        assert "CallerNotAllowed" in refused.stderr or "credential" in refused.stderr, refused.stderr
