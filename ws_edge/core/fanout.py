"""From one message of the session service to every member's outbox: one encoding, one frame, no task per recipient.

Members share the run of what their topic gets in one tick, so that only the first message of a tick is put into each outbox.
"""

from __future__ import annotations

from ws_edge.core import server_frames
from ws_edge.core.outbox import OutboxFlusher
from ws_edge.core.ports import Member, Position, SessionLink, StoredMessage
from ws_edge.core.stats import EdgeStats
from ws_edge.core.topics import Continuity, Topic, TopicTable
from ws_edge.core.websocket_frame import text_frame


class Fanout:
    """Delivers messages in order, each offset once, and asks for what is missing when it finds a gap.

    Args:
        topics: Who is a member of what.
        link: Where missing messages are asked for.
        flusher: Knows the tick.
        stats: Counters.
    """

    def __init__(self, topics: TopicTable, link: SessionLink, flusher: OutboxFlusher, stats: EdgeStats) -> None:
        self._topics = topics
        self._link = link
        self._flusher = flusher
        self._stats = stats

    def deliver(self, topic_name: str, stored: StoredMessage) -> None:
        """Deliver a message to all members of its topic on this edge."""
        continuity, topic = self._topics.advance(topic_name, stored.epoch, stored.offset)
        if topic is None:
            return
        if continuity is Continuity.NEXT:
            wire = text_frame(server_frames.message(stored, topic.channel))
            members = self._put(wire, topic, stored)
            stats = self._stats
            stats.fan_out_sizes[members.bit_length()] += 1
            stats.deliveries += members
            stats.bytes_out += members * len(wire)
        elif continuity is Continuity.GAP:
            self._heal(topic)

    def _put(self, wire: bytes, topic: Topic, stored: StoredMessage) -> int:
        """Queue a message's frame for the members that lack it; returns how many these are."""
        if topic.run_tick == self._flusher.tick:
            topic.run.append(wire)
            return len(topic.members)
        run = [wire]
        if topic.ahead:
            behind = topic.behind(stored.epoch, stored.offset)
            for member in behind:
                member.outbox.put_run(run)
            return len(behind)
        for member in topic.members:
            member.outbox.put_run(run)
        topic.run, topic.run_tick = run, self._flusher.tick
        return len(topic.members)

    def _heal(self, topic: Topic) -> None:
        """Ask for everything after the last delivered message; until it comes, nothing is delivered."""
        if topic.healing:
            return
        topic.healing = True
        self._stats.gaps_found += 1
        self._link.resubscribe(topic.name, topic.position, *members_of(topic))

    def resubscribed(self, topic_name: str, position: Position, failure: str | None) -> None:
        """Go on from a position; members are told when something is lost."""
        topic = self._topics.reposition(topic_name, position, lossless=failure is None)
        if topic is None:
            return
        was_healing, topic.healing = topic.healing, False
        if failure is None:
            self._stats.gaps_healed += was_healing
            return
        self._stats.recoveries_failed += 1
        for member in topic.behind(position.epoch, position.offset):
            member.send_frame(
                "subscription_success",
                subscription(topic.channel, position, recovered=False, failure=failure),
                channel=topic.channel,
            )

    def presence_changed(self, topic_name: str, who: Member, *, joined: bool, now_ms: int) -> None:
        """Tell the members that asked for presence that somebody else came or went."""
        topic = self._topics.get(topic_name)
        if topic is None:
            return
        data = {
            "channel": topic.channel,
            "event": "join" if joined else "leave",
            "member": server_frames.member(who),
        }
        wire = text_frame(server_frames.frame("presence_update", data, now_ms, channel=topic.channel))
        for member, wants_presence in topic.members.items():
            if wants_presence and member.client_id != who.client_id:
                member.outbox.put(wire)


def members_of(topic: Topic) -> tuple[list[int], list[int]]:
    """Return the numbers of a topic's members, and of those that want presence."""
    return (
        [member.number for member in topic.members],
        [member.number for member, wants_presence in topic.members.items() if wants_presence],
    )


def subscription(channel: str, position: Position, *, recovered: bool, failure: str | None) -> dict[str, object]:
    """Return the `data` of `subscription_success`."""
    data: dict[str, object] = {
        "channel": channel,
        "status": "success",
        "message": "Successfully joined channel",
        "epoch": position.epoch,
        "offset": position.offset,
        "recovered": recovered,
    }
    if failure is not None:
        data["reason"] = failure
    return data
