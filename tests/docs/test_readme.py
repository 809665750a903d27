"""The five minutes of the README: its commands, one after the other, and that what they say is what stands there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ANY_PORTS, Command
from tests.support.doc_blocks import blocks, named
from tests.support.doc_shell import Checkout
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

READY = r"ready after .* edge (http\S+)  auth (\S+)  session (\S+)"
ADDRESS = "http://localhost:8000"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The services, on ports that are free here."""
    folder = tmp_path_factory.mktemp("readme")
    _, script, *arguments = named("readme-start").text.split()
    assert script == "scripts/manage.py"
    data_dir = ("--data-dir", str(folder / "data"))
    command = Command("manage.py", *arguments, "--this-python", *ANY_PORTS, *data_dir, directory=folder / "start")
    try:
        command.wait_for(READY)
        yield command
        command.send(signal.SIGINT)
        assert command.finish() == 0
    finally:
        command.kill()


@pytest.fixture
def here(started: Command, tmp_path: Path) -> Checkout:
    edge, auth, _ = started.wait_for(READY).groups()
    return Checkout(tmp_path / "checkout", TIDEWIRE_URL=edge, TIDEWIRE_AUTH_TARGET=auth)


def shown_below(name: str) -> str:
    """Return what the README says that a block's command says."""
    every = [block for block in blocks() if block.page == "README.md"]
    return every[every.index(named(name)) + 1].text


def test_listen_and_send(here: Checkout, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with heard.open("w") as out:
        listener = subprocess.Popen(
            ["bash", "-c", f"exec {named('readme-listen').text}"],
            cwd=here.folder,
            env=here.environment(PYTHONUNBUFFERED="1"),
            stdout=out,
            stderr=out,
        )
    try:
        wait_until(lambda: "listening to lobby; Ctrl-C ends" in heard.read_text(), what="the listener has joined")
        stored = here.run("readme-send")
        assert re.match(r"stored in lobby at #\d+  id \S{22}\n", stored)
        assert re.match(r"stored in lobby at #\d+  id \S{22}\n", shown_below("readme-send"))
        line = re.compile(r"^\d\d:\d\d:\d\d  #\d+  cli-\S+  hello$", re.MULTILINE)
        wait_until(lambda: line.search(heard.read_text()), what="the listener has heard it")
    finally:
        listener.terminate()
        listener.wait(30)


def test_keys(here: Checkout) -> None:
    made = here.run("readme-create")
    names = [line[:13] for line in shown_below("readme-create").splitlines()[1:-1]]
    assert [line[:13] for line in made.splitlines() if line[:13] in names] == names
    assert "This is the key. It is shown this once: keep it now." in made
    (key_id,) = re.findall(r"^key id +(\S+)$", made, re.MULTILINE)
    (shown_id,) = re.findall(r"revoke (\S+)", named("readme-revoke").text)
    said = here.run("readme-revoke", {shown_id: key_id})
    assert said == shown_below("readme-revoke").replace(shown_id, key_id)


def test_http(here: Checkout) -> None:
    edge = {ADDRESS: here.variables["TIDEWIRE_URL"]}
    answer = json.loads(here.run("readme-threads", edge))
    assert answer.keys() == json.loads(shown_below("readme-threads")).keys()
    assert json.loads(here.run("readme-ready", edge)).keys() == json.loads(shown_below("readme-ready")).keys()
    shown = {line.rpartition(" ")[0] for line in shown_below("readme-metrics").splitlines()}
    assert shown <= {line.rpartition(" ")[0] for line in here.run("readme-metrics", edge).splitlines()}
