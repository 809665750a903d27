// One connection, from the socket's opening to its end: authentication, signs of life, and why it ended.
//
// The invariant: `ended` is called once, after which nothing else is, and the socket is closed or closing.

import { mayReconnect } from "./close_codes.js";
import { decode, encode } from "./codec.js";
import { errorOf, TidewireError, waitMs } from "./errors.js";
import type {
  ClientFrame,
  ConnectFrame,
  ConnectionSuccessData,
  DisconnectData,
  ErrorFrame,
  ServerFrame,
} from "./frames.js";
import { frameId } from "./ids.js";
import { addressOf, type Settings } from "./options.js";
import { Pacer } from "./pacer.js";
import type { Socket } from "./socket.js";

/** After an error before authentication the server says `disconnect`, unless it would take another `connect`. */
const LAST_WORDS_MS = 500;

/** Why a connection ended, and what may follow. */
export interface Ending {
  reconnect: boolean;
  retryAfterMs: number | undefined;
  error: TidewireError | undefined;
}

/** Whom a connection tells. */
export interface ConnectionPort {
  /** The server waits for this frame. */
  greeting(): ConnectFrame;
  authenticated(success: ConnectionSuccessData): void;
  received(frame: ServerFrame): void;
  /** A frame's text went by, either way. */
  passed(direction: "in" | "out", text: string): void;
  ended(ending: Ending): void;
}

export class Connection {
  readonly #socket: Socket;
  #pacer: Pacer | undefined;
  #lastError: TidewireError | undefined;
  #goodbye: DisconnectData | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heartbeatMs = 0;
  #heard = 0;
  #over = false;

  constructor(
    private readonly settings: Settings,
    private readonly port: ConnectionPort,
  ) {
    this.#socket = new settings.WebSocket(addressOf(settings));
    this.#socket.onmessage = ({ data }) => this.#message(data);
    this.#socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket.onerror = () => undefined; // a close event follows, and tells as much
  }

  /** Send a frame, or its text, in its turn. */
  send(frame: ClientFrame | string): void {
    const text = typeof frame === "string" ? frame : encode(frame);
    this.#pacer?.send(text);
  }

  /** Send nothing for a while, in milliseconds. */
  pause(ms: number): void {
    this.#pacer?.pause(ms);
  }

  /** Ask the server now if it is there; silence ends the connection. */
  probe(): void {
    if (!this.#heartbeatMs) return;
    clearTimeout(this.#timer);
    this.#ping();
  }

  /** End the connection from this side; it may be that the other side does not answer any more. */
  drop(ending: Partial<Ending> = {}): void {
    this.#end({ reconnect: true, retryAfterMs: undefined, error: undefined, ...ending });
  }

  /** Say good-bye, and end. */
  finish(): void {
    if (this.#pacer) this.#transmit(encode({ type: "disconnect" }));
    this.drop({ reconnect: false });
  }

  #message(data: unknown): void {
    const frame = decode(data);
    if (!frame) return;
    this.#heard = performance.now();
    this.port.passed("in", data as string);
    if (frame.type === "disconnect") this.#goodbye = frame.data;
    else if (this.#pacer) this.#received(frame);
    else this.#beforeAuthentication(frame);
  }

  #received(frame: ServerFrame): void {
    if (frame.type === "error") {
      const { error_type, retry_after_ms } = frame.data;
      if (error_type === "rate_limited") this.pause(waitMs(retry_after_ms) ?? 1_000);
      this.#lastError = errorOf(frame);
    }
    this.port.received(frame);
  }

  #beforeAuthentication(frame: ServerFrame): void {
    switch (frame.type) {
      case "connection_established":
        this.#transmit(encode(this.port.greeting()));
        break;
      case "connection_success":
        this.#pacer = new Pacer(frame.data.limits ?? {}, (text) => this.#transmit(text));
        this.#heartbeatMs = this.settings.heartbeatMs || (frame.data.heartbeat_ms ?? 25_000);
        this.#listen(this.#heartbeatMs);
        this.port.authenticated(frame.data);
        break;
      case "error":
        this.#refused(frame);
        break;
    }
  }

  #refused(frame: ErrorFrame): void {
    const error = (this.#lastError = errorOf(frame));
    this.#timer = setTimeout(() => {
      this.drop({ reconnect: error.transient, retryAfterMs: error.retryAfterMs, error });
    }, LAST_WORDS_MS);
  }

  /** Ask for a sign of life when nothing was heard for as long as the server pings. */
  #listen(ms: number): void {
    this.#timer = setTimeout(() => {
      const silent = performance.now() - this.#heard;
      if (silent >= this.#heartbeatMs) this.#ping();
      else this.#listen(this.#heartbeatMs - silent);
    }, ms);
  }

  #ping(): void {
    const asked = performance.now();
    this.#transmit(encode({ type: "ping", id: frameId() }));
    this.#timer = setTimeout(() => {
      if (this.#heard >= asked) this.#listen(0);
      else this.drop({ error: new TidewireError("no_answer", "The server is silent") });
    }, this.settings.pongTimeoutMs);
  }

  #transmit(text: string): void {
    if (this.#over) return;
    this.port.passed("out", text);
    this.#socket.send(text);
  }

  #closed(code: number, reason: string): void {
    const last = this.#goodbye;
    const error =
      this.#cause(last?.reason) ??
      new TidewireError("connection_lost", last?.reason ?? (reason || `Closed with ${code}`), { code });
    this.#end({
      reconnect: last?.reconnect ?? mayReconnect(last?.code ?? code),
      retryAfterMs: waitMs(last?.retry_after_ms) ?? error.retryAfterMs,
      error,
    });
  }

  /** Return the error that the connection ended for: the `disconnect` after it repeats its message. */
  #cause(reason: string | undefined): TidewireError | undefined {
    return !this.#pacer || this.#lastError?.message === reason ? this.#lastError : undefined;
  }

  #end(ending: Ending): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#pacer?.stop();
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.port.ended(ending);
  }
}
