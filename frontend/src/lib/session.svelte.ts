// Everything that belongs to one signed-in client of the page, made and ended together.

import { TidewireError, type ClientOptions } from "tidewire-client";
import { Chat } from "$lib/chat/chat.svelte";
import type { ThreadsPlace } from "$lib/chat/threads";
import { breakable, type Breakable } from "$lib/connection/breakable_socket";
import { Latency } from "$lib/connection/latency.svelte";
import { Outages } from "$lib/connection/outages.svelte";
import { Traffic } from "$lib/connection/traffic.svelte";
import { websocket } from "$lib/stores/websocket";

/** What people choose before they come in. */
export interface SignIn {
  apiKey: string;
  clientId: string;
  domain: string;
  workspace: string;
}

export class PageSession {
  readonly place: ThreadsPlace;
  readonly chat: Chat;
  readonly latency: Latency;
  readonly traffic: Traffic;
  readonly outages: Outages;
  /** Whether it was authenticated once: then there is something to show. */
  entered = $state(false);
  readonly #socket: Breakable;

  /** @throws TidewireError `invalid_argument`. */
  constructor(url: string, signIn: SignIn, more: Partial<ClientOptions> = {}) {
    this.place = { url, ...signIn };
    this.#socket = breakable();
    const options = { url, ...signIn, acks: "manual", WebSocket: this.#socket.WebSocket, ...more } as const;
    const client = websocket.connect(options);
    client.on("status", ({ authenticated }) => (this.entered ||= authenticated));
    this.chat = new Chat(client);
    this.traffic = new Traffic(client);
    this.outages = new Outages(client);
    this.latency = new Latency(client);
  }

  /** Break the connection, to see it come back. */
  breakConnection(): void {
    this.#socket.break();
  }

  /** End the connection, and forget everything. */
  end(): void {
    for (const part of [this.chat, this.latency, this.traffic, this.outages]) part.end();
    websocket.cleanup();
  }
}

/** Return what is wrong with what was chosen; undefined: it was no wrong choice. */
export function problemOf(error: unknown): string | undefined {
  return error instanceof TidewireError ? error.message : undefined;
}
