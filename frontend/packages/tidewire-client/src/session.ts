// The composition root: the parts of a client put together, and which of them takes which frame.

import { Acks } from "./acks.js";
import { byteLength, encode, isDelivery, toMessage, toPage, type HistoryPage, type Message } from "./codec.js";
import { Emitter } from "./emitter.js";
import { errorOf, TidewireError } from "./errors.js";
import type { ClientEvents } from "./events.js";
import type { ClientFrame, ConnectFrame, ConnectionSuccessData, HistoryRequestData, ServerFrame } from "./frames.js";
import { frameId } from "./ids.js";
import { Link } from "./link.js";
import { Memberships } from "./memberships.js";
import type { Settings } from "./options.js";
import { Outgoing } from "./outgoing.js";
import { Requests } from "./requests.js";
import { Standing } from "./standing.js";
import type { Position } from "./tracker.js";

export class Session {
  readonly events = new Emitter<ClientEvents>();
  readonly link: Link;
  readonly outgoing: Outgoing;
  readonly requests: Requests;
  readonly memberships: Memberships;
  readonly standing: Standing;
  readonly acks: Acks;

  constructor(private readonly settings: Settings) {
    const send = (frame: ClientFrame | string): void => this.link.send(frame);
    const feeds = {
      history: (channel: string, since: Position, limit: number) => this.history({ channel, since, limit }),
      deliver: (message: Message) => this.#deliver(message),
      lost: (channel: string, reason: string) => this.events.emit("lost", { channel, reason }),
    };
    this.requests = new Requests(send, settings.maxQueue, settings.requestTimeoutMs);
    this.standing = new Standing(settings.clientId, {
      ...feeds,
      newest: (channel, limit) => this.history({ channel, limit }),
    });
    this.memberships = new Memberships(
      {
        ...feeds,
        send,
        barrier: () => this.ping(),
        released: () => {
          this.outgoing.pump();
          this.acks.gather();
        },
        removed: (channel, reason) => this.events.emit("removed", { channel, reason }),
        warn: (error) => this.events.emit("error", error),
        stuck: () => this.link.drop(new TidewireError("no_answer", "The server owes an answer")),
      },
      settings.requestTimeoutMs,
    );
    const holds = (channel: string): boolean => this.memberships.holds(channel);
    this.outgoing = new Outgoing({ send, holds }, settings.maxQueue, settings.publishTimeoutMs);
    this.acks = new Acks({
      send: (channel, position) => {
        send({ type: "ack", data: { channel, ...position } });
      },
      ready: (channel) => this.#takesAcks(channel),
    });
    this.link = new Link(settings, {
      greeting: (apiKey) => this.#greeting(apiKey),
      connected: (success) => this.#connected(success),
      received: (frame) => this.#received(frame),
      passed: (direction, text) => this.#passed(direction, text),
      disconnected: () => this.#disconnected(),
      failed: (error) => {
        this.memberships.giveUp(error);
        this.requests.clear(error);
        this.outgoing.clear(error);
      },
      status: (status) => this.events.emit("status", status),
    });
  }

  /** End the connection, and forget everything; what waits is rejected. */
  end(error: TidewireError): void {
    this.acks.flush();
    this.link.stop();
    this.acks.clear();
    this.memberships.clear(error);
    this.requests.clear(error);
    this.outgoing.clear(error);
  }

  /** Read a part of a history. */
  async history(data: HistoryRequestData): Promise<HistoryPage> {
    const id = frameId();
    return toPage((await this.requests.ask("history", id, encode({ type: "history", id, data }))).data);
  }

  /** Return when the server has answered a `ping`: everything that it had sent before is here. */
  async ping(): Promise<void> {
    const id = frameId();
    await this.requests.ask("ping", id, encode({ type: "ping", id }));
  }

  /** Where the application stands in a channel; undefined: not known. */
  position(channel: string): Position | undefined {
    return this.standing.has(channel) ? this.standing.position(channel) : this.memberships.position(channel);
  }

  #greeting(api_key: string): ConnectFrame {
    const { connectionType: connection_type, domain, workspace } = this.settings;
    const id = frameId();
    const resume = [...this.standing.resume(), ...this.memberships.resume(id)];
    return {
      type: "connect",
      id,
      data: { api_key, connection_type, domain, workspace, ...(resume.length && { resume }) },
    };
  }

  #connected(session: ConnectionSuccessData): void {
    this.memberships.connected();
    this.requests.connected();
    this.standing.connected();
    this.outgoing.connected(Number(session.limits?.max_frame_bytes ?? 0));
    this.acks.gather();
  }

  #disconnected(): void {
    this.memberships.disconnected();
    this.requests.disconnected();
    this.standing.disconnected();
    this.outgoing.disconnected();
  }

  #received(frame: ServerFrame): void {
    if (isDelivery(frame)) {
      const message = toMessage(frame);
      if (!this.standing.take(message)) this.memberships.take(message);
      return;
    }
    switch (frame.type) {
      case "message_delivered":
        this.outgoing.confirmed(frame);
        break;
      case "subscription_success":
        if (!this.standing.subscribed(frame)) this.memberships.subscribed(frame);
        break;
      case "unsubscription_success":
        this.memberships.unsubscribed(frame);
        break;
      case "presence_update":
        this.events.emit("presence", frame.data);
        break;
      case "auth_status":
        this.events.emit("auth", frame.data);
        break;
      case "error":
        this.#refused(errorOf(frame));
        break;
      default:
        this.requests.answered(frame);
    }
  }

  #refused(error: TidewireError): void {
    if (this.outgoing.refused(error) || this.requests.refused(error) || this.memberships.refused(error)) return;
    this.events.emit("error", error);
  }

  #deliver(message: Message): void {
    this.events.emit("message", message);
    if (this.settings.acks === "auto") this.acks.note(message.channel, message);
  }

  /** Whether the server takes acknowledgements of a channel now; undefined: it is none of this client's. */
  #takesAcks(channel: string): boolean | undefined {
    const joined = this.standing.has(channel) || this.memberships.isJoined(channel);
    return joined === undefined ? undefined : joined && this.link.status.authenticated;
  }

  #passed(direction: "in" | "out", text: string): void {
    if (!this.events.has("frame")) return;
    const frame = JSON.parse(text) as ClientFrame | ServerFrame;
    if (frame.type === "connect") frame.data.api_key = "…";
    this.events.emit("frame", { direction, frame, bytes: byteLength(text) });
  }
}
