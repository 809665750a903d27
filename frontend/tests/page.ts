// A store on a fake edge, under a clock that tests move.

import { get } from "svelte/store";
import { afterEach, beforeEach, vi } from "vitest";
import type { ClientOptions } from "tidewire-client";
import { createWebSocketStore, type WebSocketState, type WebSocketStore } from "$lib/stores/websocket";
import { FakeEdge, GOOD_KEY } from "../packages/tidewire-client/tests/fake_edge";

export interface Scene {
  edge: FakeEdge;
  store: WebSocketStore;
  /** What the store says now. */
  state: () => WebSocketState;
  connect: (options?: Partial<ClientOptions>) => Promise<void>;
}

/** Make a store that is not connected yet. */
export function scene(): Scene {
  const edge = new FakeEdge();
  const store = createWebSocketStore();
  return {
    edge,
    store,
    state: () => get(store),
    connect: async (options = {}) => {
      const fixed = { url: "ws://edge", clientId: "alice", WebSocket: edge.WebSocket, random: () => 0.5 };
      store.connect({ ...fixed, apiKey: GOOD_KEY, ...options });
      await settle();
    },
  };
}

/** Let everything happen that needs no time. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** Let time go by, in milliseconds. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Each test of a file has a clock of its own. */
export function withClock(): void {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}
