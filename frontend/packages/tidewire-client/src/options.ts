// What a client is made with, its defaults, and what is checked at once.

import { TidewireError } from "./errors.js";
import type { SocketConstructor } from "./socket.js";

export interface ClientOptions {
  /** Where the edge is: `wss://edge.example`; `http` and `https` mean the same. */
  url: string;
  /** Who the client is: 1 to 64 of `A-Z a-z 0-9 _ -`. */
  clientId: string;
  /** The API key, or what returns it; that is asked before each connection. */
  apiKey: string | (() => string | Promise<string>);
  /** Default: `chat`. */
  connectionType?: "chat" | "tasks" | "agents" | "graph";
  /** Default: `personal`. */
  domain?: string;
  /** Default: `personal`. */
  workspace?: string;
  /** Use the endpoint for tests and tools, which echoes. Default: false. */
  debug?: boolean;
  /** The WebSocket to use. Default: the global one; Node.js before 22 has none, there give it that of `ws`. */
  WebSocket?: SocketConstructor;
  /** "auto" acknowledges what the listeners of `message` were given; "manual" leaves it to `ack`. Default: "auto". */
  acks?: "auto" | "manual";
  /** Messages without a confirmation, and requests without an answer, at most. Default: 1000. */
  maxQueue?: number;
  /** Milliseconds until a message without a confirmation is given up; less than the server keeps ids. Default: 240000. */
  publishTimeoutMs?: number;
  /** Milliseconds until a request without an answer is given up. Default: 15000. */
  requestTimeoutMs?: number;
  /** Milliseconds for key, socket and authentication together. Default: 15000. */
  connectTimeoutMs?: number;
  /** Milliseconds of silence after which the client asks if the server is there. Default: what the server says. */
  heartbeatMs?: number;
  /** Milliseconds for the answer to that. Default: 10000. */
  pongTimeoutMs?: number;
  /** The first wait before a reconnect is up to this long, in milliseconds. Default: 500. */
  backoffBaseMs?: number;
  /** No wait is longer, in milliseconds, unless the server asks for it. Default: 30000. */
  backoffMaxMs?: number;
  /** Uniform in [0, 1). Default: `Math.random`. */
  random?: () => number;
}

export type Settings = Required<ClientOptions>;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const ADDRESS = /^(ws|http)s?:\/\/./;

/**
 * Return the options with their defaults.
 *
 * @throws TidewireError `invalid_argument`.
 */
export function settingsOf(options: ClientOptions): Settings {
  const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
  if (!WebSocket)
    throw new TidewireError("invalid_argument", "There is no global WebSocket: give the option `WebSocket`");
  const settings: Settings = {
    connectionType: "chat",
    domain: "personal",
    workspace: "personal",
    debug: false,
    acks: "auto",
    maxQueue: 1_000,
    publishTimeoutMs: 240_000,
    requestTimeoutMs: 15_000,
    connectTimeoutMs: 15_000,
    heartbeatMs: 0,
    pongTimeoutMs: 10_000,
    backoffBaseMs: 500,
    backoffMaxMs: 30_000,
    random: Math.random,
    ...options,
    WebSocket,
  };
  if (!ADDRESS.test(settings.url)) {
    throw new TidewireError("invalid_argument", "url must begin with ws://, wss://, http:// or https://");
  }
  for (const name of ["clientId", "domain", "workspace"] as const) {
    if (!NAME.test(settings[name])) {
      throw new TidewireError("invalid_argument", `${name} must be 1 to 64 of A-Z a-z 0-9 _ -`);
    }
  }
  return settings;
}

/** Return the address of a client's WebSocket. */
export function addressOf({ url, clientId, debug }: Settings): string {
  return `${url.replace(/^http/, "ws").replace(/\/+$/, "")}${debug ? "/debug" : ""}/client_${clientId}`;
}
