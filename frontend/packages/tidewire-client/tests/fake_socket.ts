// A WebSocket whose other side is a fake edge in this process.

import type { ClientFrame, JsonObject } from "../src/frames.js";
import type { Socket } from "../src/socket.js";

/** A frame that the client sent. */
export type Sent = ClientFrame & { data: JsonObject; id?: string; channel?: string };

/** What answers. */
export interface Answerer {
  /** Connections are refused, as when nobody listens. */
  away: boolean;
  accept(socket: FakeSocket): void;
  receive(socket: FakeSocket, frame: Sent): void;
}

/** One connection, as the client's WebSocket. */
export class FakeSocket implements Socket {
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  readonly sent: Sent[] = [];
  readonly joined = new Set<string>();
  authenticated = false;
  closed = false;

  constructor(
    readonly url: string,
    private readonly edge: Answerer,
  ) {
    queueMicrotask(() => {
      if (edge.away) this.end(1006);
      else edge.accept(this);
    });
  }

  send(text: string): void {
    const frame = JSON.parse(text) as Sent;
    this.sent.push(frame);
    if (!this.closed) queueMicrotask(() => this.edge.receive(this, frame));
  }

  close(): void {
    this.closed = true;
  }

  /** The server sends a frame. */
  say(frame: object): void {
    queueMicrotask(() => {
      if (!this.closed) this.onmessage?.({ data: JSON.stringify(frame) });
    });
  }

  /** The connection ends from the other side. */
  end(code: number): void {
    queueMicrotask(() => {
      this.closed = true;
      this.onclose?.({ code, reason: "" });
    });
  }

  /** The frames of a type that the client sent. */
  ofType(type: string): Sent[] {
    return this.sent.filter((frame) => frame.type === type);
  }
}
