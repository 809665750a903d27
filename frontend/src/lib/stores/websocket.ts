// The connection as a Svelte store: what `ConnectionStatus` shows, and the client behind it.

import { writable, type Readable } from "svelte/store";
import { TidewireClient, type ClientOptions, type Status, type TidewireError } from "tidewire-client";

export type ConnectionState = "Connecting" | "Connected" | "Reconnecting" | "Error" | "Disconnected";
export type AuthState = "Authenticated" | "Not Authenticated";

/** How the connection stands, in the words that people read. */
export interface WebSocketState {
  connection: ConnectionState;
  auth: AuthState;
  /** Failed attempts since the last good connection. */
  reconnectAttempts: number;
  /** While it waits for the next attempt: how long, in milliseconds. */
  retryInMs: number | undefined;
  /** Why there is no connection; undefined while all is well. */
  error: TidewireError | undefined;
}

export interface WebSocketStore extends Readable<WebSocketState> {
  /** The client of the connection; undefined before the first `connect` and after `cleanup`. */
  readonly client: TidewireClient | undefined;
  /**
   * Make a client and connect it; the one before is cleaned up.
   *
   * @returns The client, which goes on connecting until `cleanup` or a refusal; the store tells of both.
   * @throws TidewireError `invalid_argument`.
   */
  connect(options: ClientOptions): TidewireClient;
  /** Try again now, after a refusal or while it waits. */
  retry(): void;
  /** End the connection and forget everything: the initial state. */
  cleanup(): void;
}

/** The state before a connection, and after `cleanup`. */
export const INITIAL: WebSocketState = {
  connection: "Disconnected",
  auth: "Not Authenticated",
  reconnectAttempts: 0,
  retryInMs: undefined,
  error: undefined,
};

/** Return what a client's status means to people. */
export function stateOf({ state, authenticated, attempts, retryInMs, error }: Status): WebSocketState {
  return {
    connection: connectionOf(state, attempts),
    auth: authenticated ? "Authenticated" : "Not Authenticated",
    reconnectAttempts: attempts,
    retryInMs,
    error,
  };
}

function connectionOf(state: Status["state"], attempts: number): ConnectionState {
  switch (state) {
    case "disconnected":
      return "Disconnected";
    case "connected":
      return "Connected";
    case "reconnecting":
      return "Reconnecting";
    case "failed":
      return "Error";
    default:
      return attempts > 0 ? "Reconnecting" : "Connecting";
  }
}

/** Make a store of its own. Pages need one: `websocket`. */
export function createWebSocketStore(): WebSocketStore {
  const { subscribe, set } = writable(INITIAL);
  let client: TidewireClient | undefined;
  let unsubscribe = (): void => undefined;

  function start(): void {
    // A refusal is told by the state.
    client?.connect().catch(() => undefined);
  }

  function cleanup(): void {
    unsubscribe();
    client?.disconnect();
    client = undefined;
    set(INITIAL);
  }

  return {
    subscribe,
    get client() {
      return client;
    },
    connect(options) {
      const next = new TidewireClient(options);
      cleanup();
      client = next;
      unsubscribe = next.on("status", (status) => set(stateOf(status)));
      start();
      return next;
    },
    retry: start,
    cleanup,
  };
}

/** The page's connection. */
export const websocket = createWebSocketStore();
