// Keeps one connection after another: asks for the key, connects, waits, comes back, or gives up because the server said so.

import { Backoff, STABLE_MS } from "./backoff.js";
import { Connection, type Ending } from "./connection.js";
import { TidewireError } from "./errors.js";
import type { ClientFrame, ConnectFrame, ConnectionSuccessData, ServerFrame } from "./frames.js";
import type { Settings } from "./options.js";

/** Where the client is on its way to the server. */
export type State =
  /** It does not want to be connected. */
  | "disconnected"
  /** It asks for the key, or opens the socket. */
  | "connecting"
  /** The socket is open, and the server looks at the key. */
  | "authenticating"
  /** It is authenticated. */
  | "connected"
  /** It waits before the next attempt. */
  | "reconnecting"
  /** The server ended it for good; `connect()` tries again. */
  | "failed";

/** How the connection stands. */
export interface Status {
  state: State;
  authenticated: boolean;
  /** Failures since the last good connection. */
  attempts: number;
  /** While reconnecting: how long it waits, in milliseconds. */
  retryInMs: number | undefined;
  /** Why the last connection ended; undefined while all is well. */
  error: TidewireError | undefined;
  /** While connected: what the server said of the connection. */
  session: ConnectionSuccessData | undefined;
}

/** Whom a link tells. */
export interface LinkPort {
  greeting(apiKey: string): ConnectFrame;
  connected(success: ConnectionSuccessData): void;
  received(frame: ServerFrame): void;
  passed(direction: "in" | "out", text: string): void;
  /** The connection is gone; another may follow. */
  disconnected(): void;
  /** No other connection follows. */
  failed(error: TidewireError): void;
  status(status: Status): void;
}

const IDLE: Status = {
  state: "disconnected",
  authenticated: false,
  attempts: 0,
  retryInMs: undefined,
  error: undefined,
  session: undefined,
};

export class Link {
  readonly #backoff: Backoff;
  #status = IDLE;
  #connection: Connection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts attempts, so that a key that comes late is not used. */
  #attempt = 0;
  /** The key that was refused while it was in use: only another one may be tried. */
  #expiredKey: string | undefined;
  #key = "";
  #serverAskedToWait = false;

  constructor(
    private readonly settings: Settings,
    private readonly port: LinkPort,
  ) {
    this.#backoff = new Backoff(settings.backoffBaseMs, settings.backoffMaxMs, settings.random);
  }

  get status(): Status {
    return this.#status;
  }

  /** Want a connection; while it waits for the next attempt, try at once, unless the server asked for the wait. */
  start(): void {
    const { state } = this.#status;
    if (state === "reconnecting") this.nudge();
    if (state !== "disconnected" && state !== "failed") return;
    this.#expiredKey = undefined;
    void this.#open();
  }

  /** Want no connection any more. */
  stop(): void {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#backoff.reset();
    this.#set(IDLE);
    this.#connection?.finish();
  }

  /** The network is there again: try now, or see if the connection has outlived it. */
  nudge(): void {
    if (this.#status.state === "reconnecting" && !this.#serverAskedToWait) void this.#open();
    else this.#connection?.probe();
  }

  /** Send a frame, or its text. */
  send(frame: ClientFrame | string): void {
    this.#connection?.send(frame);
  }

  /** The connection is of no use: make another. */
  drop(error: TidewireError): void {
    this.#connection?.drop({ error });
  }

  async #open(): Promise<void> {
    const attempt = ++this.#attempt;
    this.#set({ state: "connecting", retryInMs: undefined });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#abandon(new TidewireError("no_answer", `Not connected within ${this.settings.connectTimeoutMs} ms`));
    }, this.settings.connectTimeoutMs);
    try {
      const { apiKey } = this.settings;
      const key = typeof apiKey === "string" ? apiKey : await apiKey();
      if (attempt !== this.#attempt) return;
      if (key === this.#expiredKey)
        this.#ended({ reconnect: false, retryAfterMs: undefined, error: this.#status.error });
      else this.#connect(key);
    } catch (cause) {
      if (attempt === this.#attempt)
        this.#abandon(new TidewireError("connection_lost", `No connection: ${String(cause)}`, { cause }));
    }
  }

  #connect(key: string): void {
    this.#key = key;
    this.#connection = new Connection(this.settings, {
      greeting: () => {
        this.#set({ state: "authenticating" });
        return this.port.greeting(key);
      },
      authenticated: (success) => this.#authenticated(success),
      received: (frame) => this.port.received(frame),
      passed: (direction, text) => this.port.passed(direction, text),
      ended: (ending) => this.#ended(ending),
    });
  }

  #authenticated(session: ConnectionSuccessData): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#backoff.reset();
      this.#set({});
    }, STABLE_MS);
    this.#expiredKey = undefined;
    this.#set({ state: "connected", authenticated: true, session, error: undefined });
    this.port.connected(session);
  }

  /** Give an attempt up. */
  #abandon(error: TidewireError): void {
    if (this.#connection) this.#connection.drop({ error });
    else this.#ended({ reconnect: true, retryAfterMs: undefined, error });
  }

  #ended({ reconnect, retryAfterMs, error }: Ending): void {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#connection = undefined;
    this.port.disconnected();
    if (this.#status.state === "disconnected") return;
    const gone = { authenticated: false, session: undefined, error };
    if (!reconnect && !this.#mayRenewKey(error)) {
      this.#backoff.reset();
      this.#set({ ...gone, state: "failed" });
      this.port.failed(error ?? new TidewireError("connection_lost", "The connection ended"));
      return;
    }
    const retryInMs = this.#backoff.next(retryAfterMs);
    this.#serverAskedToWait = retryAfterMs !== undefined;
    this.#set({ ...gone, state: "reconnecting", retryInMs });
    this.#timer = setTimeout(() => void this.#open(), retryInMs);
  }

  /** A key that expired in use may be followed by another one, if there is somebody to ask for it. */
  #mayRenewKey(error: TidewireError | undefined): boolean {
    const renewable = typeof this.settings.apiKey === "function" && this.#status.authenticated;
    if (error?.errorType !== "token_expired" || !renewable) return false;
    this.#expiredKey = this.#key;
    return true;
  }

  #set(changes: Partial<Status>): void {
    this.#status = { ...this.#status, ...changes, attempts: this.#backoff.failures };
    this.port.status(this.#status);
  }
}
