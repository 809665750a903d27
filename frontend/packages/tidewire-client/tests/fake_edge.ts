// An edge in this process, for one client: it keeps to `protocol.md`, and does on demand what real ones do rarely.

import type { JsonObject, ResumeEntry } from "../src/frames.js";
import type { SocketConstructor } from "../src/socket.js";
import { FakeSocket, type Answerer, type Sent } from "./fake_socket.js";

export const GOOD_KEY = "good-key";
export const LIMITS = {
  max_frame_bytes: 65_536,
  max_message_bytes: 61_440,
  frames_per_second: 200,
  frames_burst: 400,
  bytes_per_second: 1_048_576,
  max_channels: 100,
  max_outbox_bytes: 1_048_576,
};

interface Stored {
  type: string;
  id: string;
  channel: string;
  client_id: string;
  timestamp: string;
  epoch: string;
  offset: number;
  data: JsonObject;
}

interface Room {
  epoch: string;
  low: number;
  stored: Stored[];
}

export class FakeEdge implements Answerer {
  readonly sockets: FakeSocket[] = [];
  readonly rooms = new Map<string, Room>();
  readonly acks: JsonObject[] = [];
  limits: Record<string, number> = LIMITS;
  away = false;
  /** Nothing is answered any more. */
  mute = false;
  /** Channels that the key may not join. */
  readonly forbidden = new Set<string>();
  /** Frames that are answered with an error instead; "silence": not at all. */
  refuse: (frame: Sent) => JsonObject | "silence" | undefined = () => undefined;
  readonly WebSocket: SocketConstructor;

  constructor() {
    const open = (url: string): FakeSocket => {
      const socket = new FakeSocket(url, this);
      this.sockets.push(socket);
      return socket;
    };
    // Called with `new`, a function that returns an object makes that object.
    this.WebSocket = function (url: string) {
      return open(url);
    } as unknown as SocketConstructor;
  }

  /** The newest connection. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("nobody has connected");
    return socket;
  }

  room(channel: string): Room {
    const room = this.rooms.get(channel) ?? { epoch: "e1", low: 0, stored: [] };
    this.rooms.set(channel, room);
    return room;
  }

  /** Somebody else publishes. Returns the message. */
  publish(channel: string, data: JsonObject, more: Partial<Stored> = {}): Stored {
    const room = this.room(channel);
    const before = room.stored.find((stored) => stored.id === more.id);
    if (before) return before;
    const offset = (room.stored.at(-1)?.offset ?? room.low) + 1;
    const stored = {
      type: "chat_message",
      id: `s-${channel}-${offset}`,
      channel,
      client_id: "bob",
      timestamp: "2026-11-24T09:00:00.125Z",
      epoch: room.epoch,
      offset,
      data,
      ...more,
    };
    room.stored.push(stored);
    for (const socket of this.sockets) if (socket.joined.has(channel)) socket.say(stored);
    return stored;
  }

  /** The server ends the connection, in order. */
  disconnect(data: JsonObject & { code: number }): void {
    this.socket.say({ type: "disconnect", data });
    this.socket.end(data.code);
  }

  accept(socket: FakeSocket): void {
    if (!this.mute)
      socket.say({
        type: "connection_established",
        data: { message: "Connection established, waiting for authentication" },
      });
  }

  receive(socket: FakeSocket, frame: Sent): void {
    if (this.mute || socket.closed) return;
    const refusal = this.refuse(frame);
    if (refusal === "silence") return;
    if (refusal) {
      socket.say({ type: "error", id: frame.id, data: refusal });
      return;
    }
    switch (frame.type as string) {
      case "connect":
        this.#connect(socket, frame);
        break;
      case "join_channel":
        this.#join(socket, frame.id, frame.data);
        break;
      case "leave_channel":
        this.#leave(socket, frame);
        break;
      case "direct_message":
        this.#store(socket, frame, `@${String(frame.data.to)}`);
        break;
      case "broadcast":
        this.#store(socket, frame, "*");
        break;
      case "ack":
        this.acks.push(frame.data);
        break;
      case "history":
        this.#history(socket, frame);
        break;
      case "presence":
        this.#answer(socket, frame, "presence", { channel: frame.data.channel, members: [] });
        break;
      case "receipt":
        this.#answer(socket, frame, "receipt", { ...frame.data, epoch: "e1", written: 2, acknowledged: 1 });
        break;
      case "ping":
        this.#answer(socket, frame, "pong", {});
        break;
      case "disconnect":
        this.disconnect({ code: 1000, reconnect: false, reason: "Client asked to disconnect" });
        break;
      default:
        this.#store(socket, frame, frame.channel ?? "");
    }
  }

  #connect(socket: FakeSocket, frame: Sent): void {
    if (frame.data.api_key !== GOOD_KEY) {
      const wrong =
        frame.data.api_key === "expired-key"
          ? { message: "Token expired", error_type: "token_expired", code: 403 }
          : { message: "Invalid API key", error_type: "invalid_key", code: 403 };
      socket.say({ type: "error", id: frame.id, data: wrong });
      this.disconnect({ code: 4000, reconnect: false, reason: wrong.message });
      return;
    }
    socket.authenticated = true;
    const client = socket.url.replace(/.*client_/, "");
    this.#answer(socket, frame, "connection_success", {
      message: "Connected",
      client_id: client,
      session_id: "s",
      heartbeat_ms: 25_000,
      limits: this.limits,
    });
    this.#answer(socket, frame, "message_delivered", { message: "", original_type: "connect", status: "success" });
    socket.joined.add("*").add(`@${client}`);
    for (const { channel, epoch, offset } of (frame.data.resume ?? []) as ResumeEntry[]) {
      this.#join(socket, frame.id, { channel, recover: { epoch, offset } }, false);
    }
  }

  #join(socket: FakeSocket, id: string | undefined, data: JsonObject, announce = true): void {
    const channel = data.channel as string;
    if (this.forbidden.has(channel)) {
      socket.say({
        type: "error",
        id,
        channel,
        data: { message: `Missing permission: join:${channel}`, error_type: "permission_denied", code: 403 },
      });
      return;
    }
    const room = this.room(channel);
    const head = room.stored.at(-1)?.offset ?? room.low;
    const recover = data.recover as { epoch: string; offset: number } | undefined;
    const reason = !recover
      ? undefined
      : recover.epoch !== room.epoch
        ? "epoch_changed"
        : recover.offset < room.low
          ? "history_expired"
          : undefined;
    if (announce)
      socket.say({
        type: "message_delivered",
        id,
        channel,
        data: { message: "", original_type: "join_channel", status: "success" },
      });
    socket.say({
      type: "subscription_success",
      id,
      channel,
      data: {
        channel,
        status: "success",
        message: "Successfully joined channel",
        epoch: room.epoch,
        offset: head,
        recovered: !reason,
        ...(reason && { reason }),
      },
    });
    const after = recover ? (reason ? room.low : recover.offset) : head - Number(data.history ?? 0);
    for (const stored of room.stored) if (stored.offset > after) socket.say(stored);
    socket.joined.add(channel);
  }

  #leave(socket: FakeSocket, frame: Sent): void {
    const channel = frame.data.channel as string;
    socket.joined.delete(channel);
    this.#answer(socket, frame, "message_delivered", {
      message: "",
      original_type: "leave_channel",
      status: "success",
    });
    this.#answer(socket, frame, "unsubscription_success", {
      channel,
      status: "success",
      message: "Successfully left channel",
    });
  }

  #store(socket: FakeSocket, frame: Sent, channel: string): void {
    if (frame.channel !== undefined && !socket.joined.has(channel)) {
      socket.say({
        type: "error",
        id: frame.id,
        data: { message: `Not a member of ${channel}`, error_type: "channel_error", code: 404 },
      });
      return;
    }
    const { epoch, offset, id } = this.publish(channel, frame.data, {
      type: frame.type,
      client_id: "alice",
      ...(frame.id && { id: frame.id }),
    });
    socket.say({
      type: "message_delivered",
      id,
      channel,
      epoch,
      offset,
      data: { message: "", original_type: frame.type, status: "success", id, channel, epoch, offset },
    });
  }

  #history(socket: FakeSocket, frame: Sent): void {
    const {
      channel,
      since,
      limit = 100,
    } = frame.data as { channel: string; since?: { epoch?: string; offset: number }; limit?: number };
    const room = this.room(channel);
    const behind = since ? room.stored.filter(({ offset }) => offset > since.offset) : room.stored.slice(-limit);
    this.#answer(socket, frame, "history", {
      channel,
      messages: behind.slice(0, limit),
      epoch: room.epoch,
      offset: room.stored.at(-1)?.offset ?? room.low,
      more: behind.length > limit,
      ...(since && since.offset < room.low && { recovered: false, reason: "history_expired" }),
    });
  }

  #answer(socket: FakeSocket, frame: Sent, type: string, data: unknown): void {
    socket.say({ type, id: frame.id, data });
  }
}
