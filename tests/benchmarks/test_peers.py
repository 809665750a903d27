"""Every server that can be had here delivers in a benchmark, and its processes are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.load.generator import Generator
from benchmarks.peers.catalogue import PEERS, chosen
from benchmarks.scenarios.base import measure_run
from benchmarks.scenarios.rooms_of_members import channel_name, fill
from benchmarks.usage import by_part, memory_kb, resident_kb

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("compiler")]

COUNT = 5


@pytest.mark.parametrize("name", PEERS)
def test_a_server_delivers_every_message_to_every_member(name: str, tmp_path: Path) -> None:
    peer = PEERS[name]()
    lack = peer.missing()
    if lack:
        pytest.skip(f"needs {lack}: `manage.py bench` installs it where it can")
    assert peer.version()
    try:
        peer.start(tmp_path, 2)
        rooms = fill(peer, rooms=2, members=3)
        several = peer.subscriber(len(rooms.clients), [channel_name(0), channel_name(1), "a-third"])
        idle = peer.subscriber(len(rooms.clients) + 1, [])
        publishers = [
            replace(publisher, members=[*publisher.members, len(rooms.clients)], count=COUNT)
            for publisher in rooms.publishers
        ]
        with Generator() as generator:
            generator.open([*rooms.clients, several, idle])
            measured = measure_run(peer, generator, publishers)
        assert measured.run.faults == ()
        assert measured.run.received == 2 * COUNT * 4
        assert measured.run.confirmations == (2 * COUNT if peer.confirms else 0)
        parts = by_part(peer.parts())
        assert measured.cpu_by_part.keys() == parts.keys()
        assert all(0 < memory_kb(pids) <= resident_kb(pids) for pids in parts.values())
    finally:
        peer.stop()
    assert not any(_runs(pid) for pids in parts.values() for pid in pids)


def test_an_unknown_server_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BenchmarkError, match=r"no such server: nobody; there are tidewire, "):
        chosen(["nats", "nobody"])


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
