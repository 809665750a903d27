// Clients of a fake edge, under a clock that tests move.

import { afterEach, beforeEach, vi } from "vitest";
import { TidewireClient, type ClientOptions, type Message, type TidewireError } from "../src/index.js";
import { FakeEdge, GOOD_KEY } from "./fake_edge.js";

export interface Scene {
  edge: FakeEdge;
  client: TidewireClient;
  messages: Message[];
  errors: TidewireError[];
  lost: { channel: string; reason: string }[];
}

/** Make a client that is not connected yet. */
export function scene(options: Partial<ClientOptions> = {}): Scene {
  const edge = new FakeEdge();
  const client = new TidewireClient({
    url: "ws://edge",
    clientId: "alice",
    apiKey: GOOD_KEY,
    WebSocket: edge.WebSocket,
    random: () => 0.5,
    ...options,
  });
  const made: Scene = { edge, client, messages: [], errors: [], lost: [] };
  client.on("message", (message) => made.messages.push(message));
  client.on("error", (error) => made.errors.push(error));
  client.on("lost", (what) => made.lost.push(what));
  return made;
}

/** Make a client that is connected. */
export async function connected(options: Partial<ClientOptions> = {}): Promise<Scene> {
  const made = scene(options);
  const done = made.client.connect();
  await settle();
  await done;
  return made;
}

/** Let everything happen that needs no time. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** Let time go by, in milliseconds. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** The connection breaks, and is there again. */
export async function reconnect({ edge }: Scene): Promise<void> {
  edge.socket.end(1006);
  await pass(500);
}

/** Return how a promise stands, without waiting for it. */
export function watch<T>(promise: Promise<T>): { value?: T; error?: TidewireError } {
  const seen: { value?: T; error?: TidewireError } = {};
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => (seen.error = error as TidewireError),
  );
  return seen;
}

/** Return what the messages hold. */
export const contents = (messages: Message[]): unknown[] => messages.map((message) => message.data.content);

/** Each test of a file has a clock of its own. */
export function withClock(): void {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}
