// What applications call.

import { Channel } from "./channel.js";
import { encode, type HistoryPage } from "./codec.js";
import type { Listener } from "./emitter.js";
import { TidewireError } from "./errors.js";
import type { ClientEvents } from "./events.js";
import type { JsonObject, PresenceMember } from "./frames.js";
import { frameId, randomId } from "./ids.js";
import type { Status } from "./link.js";
import type { JoinOptions } from "./memberships.js";
import { settingsOf, type ClientOptions } from "./options.js";
import type { Delivery } from "./outgoing.js";
import { Session } from "./session.js";
import type { Joined } from "./subscription.js";
import type { Position } from "./tracker.js";

/** What can be published to a channel. */
export type PublishType = "chat_message" | "channel_message" | "task_update" | "agent_status" | "graph_update";

export interface PublishOptions {
  /** Default: `chat_message`, which needs `content`. */
  type?: PublishType;
  /** Stored once, however often it is published. Default: a new one. */
  id?: string;
}

export interface HistoryOptions {
  /** What comes behind it; `{ offset: 0 }`: from the oldest kept. Default: the last messages. */
  since?: { epoch?: string; offset: number };
  /** 1 to 1000. Default: 100. */
  limit?: number;
}

/** How far a message has come. */
export interface Receipt extends Position {
  channel: string;
  /** Members whose connection it was written to. */
  written: number;
  /** Members that acknowledged it. */
  acknowledged: number;
}

/** Tells when the network is back; Node.js does not. */
const page = globalThis as Partial<Pick<Window, "addEventListener" | "removeEventListener">>;

export class TidewireClient {
  /** Who the client is. */
  readonly clientId: string;
  readonly #session: Session;
  #connecting: Promise<Status> | undefined;
  readonly #online = (): void => this.#session.link.nudge();

  /** @throws TidewireError `invalid_argument`. */
  constructor(options: ClientOptions) {
    const settings = settingsOf(options);
    this.clientId = settings.clientId;
    this.#session = new Session(settings);
  }

  /** How the connection stands. */
  get status(): Status {
    return this.#session.link.status;
  }

  /** How many messages have no confirmation yet. */
  get pending(): number {
    return this.#session.outgoing.size;
  }

  /** Call `listener` with each value of an event; return what ends that. */
  on<K extends keyof ClientEvents>(event: K, listener: Listener<ClientEvents[K]>): () => void {
    return this.#session.events.on(event, listener);
  }

  /**
   * Connect, and stay connected until `disconnect`.
   *
   * @returns When it is authenticated the first time, however many attempts that takes.
   * @throws TidewireError The server refused for good, or `disconnect` was called.
   */
  connect(): Promise<Status> {
    page.addEventListener?.("online", this.#online);
    this.#session.link.start();
    return (this.#connecting ??= this.#decided().finally(() => (this.#connecting = undefined)));
  }

  /** End the connection, and forget channels and what waits; that is rejected with `cancelled`. */
  disconnect(): void {
    page.removeEventListener?.("online", this.#online);
    this.#session.end(new TidewireError("cancelled", "Disconnected"));
  }

  /** Return a channel's own methods. */
  channel(name: string): Channel {
    return new Channel(this, name);
  }

  /**
   * Be in a channel, over reconnects too, until `leave`.
   *
   * @throws TidewireError The server refused, or it was left or disconnected meanwhile.
   */
  join(channel: string, options: JoinOptions = {}): Promise<Joined> {
    return this.#session.memberships.join(channel, options);
  }

  /** Be no longer in a channel. */
  leave(channel: string): Promise<void> {
    this.#session.acks.flush();
    return this.#session.memberships.leave(channel);
  }

  /**
   * Publish to a channel, now or as soon as there is a connection; stored once.
   *
   * @returns When it is stored.
   * @throws TidewireError It is refused, cannot be queued, or was not confirmed in time.
   */
  async publish(
    channel: string,
    data: JsonObject,
    { type = "chat_message", id = randomId() }: PublishOptions = {},
  ): Promise<Delivery> {
    return this.#session.outgoing.add(id, encode({ type, id, channel, data }), channel);
  }

  /** Send to every connection of the workspace; see `publish`. */
  async broadcast(data: JsonObject, { id = randomId() }: { id?: string } = {}): Promise<Delivery> {
    return this.#session.outgoing.add(id, encode({ type: "broadcast", id, data }));
  }

  /** Send to one client, wherever it is connected, or for its return; see `publish`. */
  async direct(to: string, data: JsonObject, { id = randomId() }: { id?: string } = {}): Promise<Delivery> {
    return this.#session.outgoing.add(id, encode({ type: "direct_message", id, data: { ...data, to } }));
  }

  /** Read a part of a channel's history, also of `*` and of the own inbox. */
  history(channel: string, options: HistoryOptions = {}): Promise<HistoryPage> {
    return this.#session.history({ channel, ...options });
  }

  /** Read who is in a channel. */
  async presence(channel: string): Promise<PresenceMember[]> {
    const id = frameId();
    return (await this.#session.requests.ask("presence", id, encode({ type: "presence", id, data: { channel } }))).data
      .members;
  }

  /** Read how far a message has come. */
  async receipt(channel: string, offset: number): Promise<Receipt> {
    const id = frameId();
    const { data } = await this.#session.requests.ask(
      "receipt",
      id,
      encode({ type: "receipt", id, data: { channel, offset } }),
    );
    return { ...data, offset: Number(data.offset) };
  }

  /** Measure the way to the server and back, in milliseconds. */
  async ping(): Promise<number> {
    const began = performance.now();
    await this.#session.ping();
    return performance.now() - began;
  }

  /** Acknowledge everything of a channel up to a position; default: up to what was delivered here. */
  ack(channel: string, position = this.position(channel)): void {
    if (position) this.#session.acks.note(channel, position);
  }

  /** Where the application stands in a channel: what `join` can `recover` from later; undefined: not known. */
  position(channel: string): Position | undefined {
    return this.#session.position(channel);
  }

  /** Wait until the client is connected, or will not be. */
  #decided(): Promise<Status> {
    return new Promise((resolve, reject) => {
      const look = (status: Status): void => {
        if (status.state === "connected") resolve(status);
        else if (status.state === "failed") reject(status.error ?? new TidewireError("connection_lost", "Refused"));
        else if (status.state === "disconnected") reject(new TidewireError("cancelled", "Disconnected"));
        else return;
        end();
      };
      const end = this.on("status", look);
      look(this.status);
    });
  }
}
