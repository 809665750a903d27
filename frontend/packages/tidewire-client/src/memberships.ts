// The channels that the application wants to be in: joined, joined again after a reconnect from where they stopped, left.

import type { Message } from "./codec.js";
import { deferred, type Deferred } from "./deferred.js";
import { TidewireError } from "./errors.js";
import { Feed, type FeedPort } from "./feed.js";
import type {
  ClientFrame,
  JoinChannelData,
  ResumeEntry,
  SubscriptionSuccessFrame,
  UnsubscriptionSuccessFrame,
} from "./frames.js";
import { frameId } from "./ids.js";
import { joinedOf, place, type Asked, type Joined } from "./subscription.js";
import type { Position } from "./tracker.js";

/** Channels that one `connect` resumes: together they stay far below the size of a frame. */
const MAX_RESUMED = 100;
const RETRY_MS = 1_000;

export interface JoinOptions {
  /** Bring what comes behind a position, or behind what this client acknowledged last. */
  recover?: Position | "last_acked" | undefined;
  /** Bring the last messages: 1 to 1000. */
  history?: number | undefined;
  /** Tell who comes and goes. */
  presence?: boolean | undefined;
}

/** What memberships need of the world. */
export interface MembershipsPort extends FeedPort {
  /** Send a frame; only called between `connected` and `disconnected`. */
  send(frame: ClientFrame): void;
  /** Resolve when everything that the server had sent before is here. */
  barrier(): Promise<unknown>;
  /** Something can be sent that had to wait. */
  released(): void;
  /** The server ended a membership. */
  removed(channel: string, reason: string): void;
  /** Tell of a failure that is mended by itself. */
  warn(error: TidewireError): void;
  /** The server owes an answer for too long: the connection is no good. */
  stuck(): void;
}

interface Membership {
  readonly channel: string;
  readonly options: JoinOptions;
  readonly feed: Feed;
  readonly joined: Deferred<Joined>;
  /** "waiting": for a connection, or for another attempt. */
  state: "waiting" | "joining" | "joined";
  /** Whether `joined` was resolved: later failures are told by an event. */
  told: boolean;
  asked: Asked;
  /** Of the frame whose answer is awaited. */
  frameId: string | undefined;
  leaving: Deferred<void> | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Memberships {
  readonly #all = new Map<string, Membership>();
  #online = false;

  constructor(
    private readonly port: MembershipsPort,
    private readonly timeoutMs: number,
  ) {}

  /** Be in a channel from now on, over reconnects too, until `leave`. Idempotent. */
  async join(channel: string, options: JoinOptions): Promise<Joined> {
    const before = this.#all.get(channel);
    if (before && !before.leaving) return before.joined.promise;
    if (before?.leaving) {
      await before.leaving.promise;
      return this.join(channel, options);
    }
    const membership: Membership = {
      channel,
      options,
      feed: new Feed(channel, this.port),
      joined: deferred(),
      state: "waiting",
      told: false,
      asked: "nothing",
      frameId: undefined,
      leaving: undefined,
      timer: undefined,
    };
    if (typeof options.recover === "object") membership.feed.tracker.goOnFrom(options.recover);
    membership.joined.promise.catch(() => undefined); // a rejoin that fails has nobody who waits
    this.#all.set(channel, membership);
    if (this.#online) this.#sendJoin(membership);
    return membership.joined.promise;
  }

  /** Be no longer in a channel; nothing of it is delivered after this call. Idempotent. */
  async leave(channel: string): Promise<void> {
    const membership = this.#all.get(channel);
    if (!membership) return;
    if (membership.leaving) return membership.leaving.promise;
    membership.leaving = deferred();
    membership.feed.reset();
    membership.joined.reject(new TidewireError("cancelled", `Left ${channel}`, { channel }));
    const done = membership.leaving.promise;
    if (membership.state === "joined") this.#sendLeave(membership);
    else if (membership.state === "waiting") this.#gone(membership);
    return done;
  }

  /** Whether messages to a channel have to wait for a membership that is wanted and not there. */
  holds(channel: string): boolean {
    const membership = this.#all.get(channel);
    return membership !== undefined && membership.state !== "joined";
  }

  /** Whether the server knows a membership; undefined: nobody wants it. */
  isJoined(channel: string): boolean | undefined {
    const membership = this.#all.get(channel);
    if (!membership) return undefined;
    return membership.state === "joined" && !membership.leaving;
  }

  /** Where the application stands in a channel; undefined: not known. */
  position(channel: string): Position | undefined {
    return this.#all.get(channel)?.feed.tracker.position;
  }

  /** Return the channels that a `connect` joins again; presence is not resumed, so who wants it joins by itself. */
  resume(connectId: string): ResumeEntry[] {
    const entries: ResumeEntry[] = [];
    for (const membership of this.#all.values()) {
      const position = membership.feed.tracker.position;
      if (!position || membership.options.presence || entries.length >= MAX_RESUMED) continue;
      this.#await(membership, "position", connectId);
      entries.push({ channel: membership.channel, ...position });
    }
    return entries;
  }

  /** The connection is authenticated: join what it did not resume. */
  connected(): void {
    this.#online = true;
    for (const membership of this.#all.values()) if (membership.state === "waiting") this.#sendJoin(membership);
  }

  /** The connection is gone, and all memberships with it. */
  disconnected(): void {
    this.#online = false;
    for (const membership of this.#all.values()) {
      clearTimeout(membership.timer);
      membership.state = "waiting";
      membership.feed.reset();
      if (membership.leaving) this.#gone(membership);
    }
  }

  /** No connection follows: who waits for a first join is told, and everything else is kept for another `connect`. */
  giveUp(error: TidewireError): void {
    for (const membership of this.#all.values()) if (!membership.told) this.#lose(membership, error);
  }

  /** Forget everything; joins that wait are rejected. */
  clear(error: TidewireError): void {
    for (const membership of this.#all.values()) {
      membership.joined.reject(error);
      this.#gone(membership);
    }
  }

  /** Take a message of a channel; one of a channel that was left is dropped. */
  take(message: Message): void {
    const membership = this.#all.get(message.channel);
    if (membership && !membership.leaving) membership.feed.take(message);
  }

  /** Take a `subscription_success`. */
  subscribed(frame: SubscriptionSuccessFrame): void {
    const joined = joinedOf(frame);
    const membership = this.#all.get(joined.channel);
    if (!membership) return;
    const { feed, leaving } = membership;
    if (!joined.recovered && !leaving) this.port.lost(feed.channel, joined.reason ?? "history_expired");
    if (membership.state !== "joining") {
      feed.reset();
      feed.tracker.goOnFrom(joined);
      return;
    }
    clearTimeout(membership.timer);
    membership.state = "joined";
    membership.frameId = undefined;
    if (place(feed, joined, membership.asked)) {
      this.port.barrier().then(
        () => feed.tracker.settle(),
        () => undefined,
      );
    }
    membership.told = true;
    membership.joined.resolve(joined);
    if (leaving) this.#sendLeave(membership);
    this.port.released();
  }

  /** Take an `unsubscription_success`: the answer to a leave, or without an `id` the server's own doing. */
  unsubscribed(frame: UnsubscriptionSuccessFrame): void {
    const membership = this.#all.get(frame.data.channel);
    if (!membership || (frame.id !== undefined && frame.id !== membership.frameId)) return;
    if (membership.leaving) {
      this.#gone(membership);
    } else {
      const { channel, reason = "permission_denied" } = frame.data;
      this.#lose(
        membership,
        new TidewireError("permission_denied", `Removed from ${channel}`, { code: 403, channel }),
        reason,
      );
    }
  }

  /** Take an error; return whether it was about a join or leave of these. What may succeed later is tried again. */
  refused(error: TidewireError): boolean {
    const membership = [...this.#all.values()].find(
      ({ frameId, channel }) => frameId === error.id && (error.channel ?? channel) === channel,
    );
    if (!membership || error.id === undefined) return false;
    clearTimeout(membership.timer);
    const leaving = membership.leaving && membership.state === "joined";
    if (error.transient) {
      this.port.warn(error);
      if (!leaving) membership.state = "waiting";
      membership.timer = setTimeout(() => {
        if (leaving) this.#sendLeave(membership);
        else this.#sendJoin(membership);
      }, error.retryAfterMs ?? RETRY_MS);
    } else {
      this.#lose(membership, error);
    }
    return true;
  }

  /** End a membership against its will: who waits for it is told, else an event tells it. */
  #lose(membership: Membership, error: TidewireError, reason: string = error.errorType): void {
    membership.joined.reject(error);
    this.#gone(membership);
    if (membership.told && !membership.leaving) this.port.removed(membership.channel, reason);
  }

  #sendJoin(membership: Membership): void {
    const { channel, options, feed } = membership;
    const { position } = feed.tracker;
    const data: JoinChannelData = { channel };
    if (options.presence) data.presence = true;
    if (position) data.recover = position;
    else if (options.recover) data.recover = options.recover;
    else if (options.history) data.history = options.history;
    const id = frameId();
    this.#await(membership, position ? "position" : options.recover || options.history ? "past" : "nothing", id);
    this.port.send({ type: "join_channel", id, data });
  }

  #await(membership: Membership, asked: Asked, id: string): void {
    Object.assign(membership, { state: "joining", asked, frameId: id });
    this.#watch(membership);
  }

  #sendLeave(membership: Membership): void {
    membership.frameId = frameId();
    this.#watch(membership);
    this.port.send({ type: "leave_channel", id: membership.frameId, data: { channel: membership.channel } });
  }

  #watch(membership: Membership): void {
    clearTimeout(membership.timer);
    membership.timer = setTimeout(() => this.port.stuck(), this.timeoutMs);
  }

  #gone(membership: Membership): void {
    clearTimeout(membership.timer);
    membership.feed.reset();
    if (this.#all.get(membership.channel) === membership) this.#all.delete(membership.channel);
    membership.leaving?.resolve();
    this.port.released();
  }
}
