// What the answer to a join says of the past, and what follows from it for the messages behind it.

import type { Feed } from "./feed.js";
import type { SubscriptionSuccessFrame } from "./frames.js";
import type { Position } from "./tracker.js";

/** What a join asked for: what comes behind a position, a part of the past, or nothing of it. */
export type Asked = "position" | "past" | "nothing";

/** The answer to a join. */
export interface Joined extends Position {
  channel: string;
  /** Nothing that was asked for is missing. */
  recovered: boolean;
  /** What is missing: `history_expired` or `epoch_changed`. */
  reason?: string;
}

/** Return what a `subscription_success` says. */
export function joinedOf({ data }: SubscriptionSuccessFrame): Joined {
  const { channel, epoch, offset, recovered = true, reason } = data;
  return { channel, epoch, offset: Number(offset), recovered, ...(reason !== undefined && { reason }) };
}

/**
 * Prepare a feed for the messages that follow a join.
 *
 * @returns Whether the beginning of what follows is not known; `settle` its tracker when all of that must have come.
 */
export function place(feed: Feed, joined: Joined, asked: Asked): boolean {
  const { tracker } = feed;
  if (!joined.recovered) {
    const before = tracker.position;
    const same = joined.reason === "history_expired" && before?.epoch === joined.epoch;
    tracker.replayed(joined, same ? before.offset : 0);
  } else if (asked === "position") {
    tracker.recovered(joined);
  } else if (asked === "past") {
    tracker.replayed(joined, 0);
  } else {
    tracker.goOnFrom(joined);
  }
  return tracker.open;
}
