// The two channels that every client is in without joining: the broadcasts of its workspace, and its own inbox.

import type { HistoryPage, Message } from "./codec.js";
import { Feed, type FeedPort } from "./feed.js";
import type { ResumeEntry, SubscriptionSuccessFrame } from "./frames.js";
import { joinedOf, place } from "./subscription.js";
import type { Position } from "./tracker.js";

export const BROADCASTS = "*";

/** Return the channel of a client's direct messages. */
export function inboxOf(clientId: string): string {
  return `@${clientId}`;
}

/** What standing channels need of the world. */
export interface StandingPort extends FeedPort {
  /** Ask for the newest messages of a channel. */
  newest(channel: string, limit: number): Promise<HistoryPage>;
}

export class Standing {
  readonly #feeds: ReadonlyMap<string, Feed>;
  #asking = false;

  constructor(
    clientId: string,
    private readonly port: StandingPort,
  ) {
    this.#feeds = new Map([BROADCASTS, inboxOf(clientId)].map((channel) => [channel, new Feed(channel, port)]));
  }

  has(channel: string): boolean {
    return this.#feeds.has(channel);
  }

  /** Where the application stands; undefined: not known. */
  position(channel: string): Position | undefined {
    return this.#feeds.get(channel)?.tracker.position;
  }

  /** Return what a `connect` says of them. An inbox of unknown position brings what is not acknowledged. */
  resume(): ResumeEntry[] {
    return [...this.#feeds.values()].flatMap(({ channel, tracker }) =>
      tracker.position ? [{ channel, ...tracker.position }] : [],
    );
  }

  /** Broadcasts begin now: learn where that is, so that those of the next outage can be asked for. */
  connected(): void {
    const tracker = this.#feeds.get(BROADCASTS)?.tracker;
    if (!tracker || tracker.position || this.#asking) return;
    this.#asking = true;
    this.port
      .newest(BROADCASTS, 1)
      .then(
        (page) => tracker.learn(page),
        () => undefined, // the next connection asks again
      )
      .finally(() => (this.#asking = false));
  }

  disconnected(): void {
    for (const feed of this.#feeds.values()) feed.reset();
  }

  /** Take a message; return whether it was of these channels. */
  take(message: Message): boolean {
    const feed = this.#feeds.get(message.channel);
    feed?.take(message);
    return feed !== undefined;
  }

  /** Take a `subscription_success`; return whether it was of these channels. */
  subscribed(frame: SubscriptionSuccessFrame): boolean {
    const joined = joinedOf(frame);
    const feed = this.#feeds.get(joined.channel);
    if (!feed) return false;
    if (!joined.recovered) this.port.lost(feed.channel, joined.reason ?? "history_expired");
    feed.reset();
    if (frame.id === undefined) feed.tracker.goOnFrom(joined);
    else place(feed, joined, "position");
    return true;
  }
}
