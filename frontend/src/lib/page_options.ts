// What the address of the page sets: who comes, where, and numbers of the client. Never a key.

import type { ClientOptions } from "tidewire-client";

/** Options of the client that are milliseconds and may be set by the address, for tests and demonstrations. */
const TUNABLE = ["heartbeatMs", "pongTimeoutMs", "connectTimeoutMs", "backoffBaseMs", "backoffMaxMs"] as const;

export interface PageOptions {
  name: string;
  domain: string;
  workspace: string;
  channel: string;
  tuning: Partial<ClientOptions>;
}

/** Return what `?name=alice&workspace=demo&channel=lobby&backoffMaxMs=2000` asks for. */
export function pageOptions(search: string): PageOptions {
  const query = new URLSearchParams(search);
  const tuning: Partial<ClientOptions> = {};
  for (const name of TUNABLE) {
    const value = Number(query.get(name));
    if (value > 0) tuning[name] = value;
  }
  return {
    name: query.get("name") ?? `guest-${Math.random().toString(36).slice(2, 6)}`,
    domain: query.get("domain") ?? "personal",
    workspace: query.get("workspace") ?? "personal",
    channel: query.get("channel") ?? "lobby",
    tuning,
  };
}

/** Return where the edge is: who serves the built page; for the development server, port 8000 of this machine. */
export function edgeUrl(): string {
  const given: unknown = import.meta.env.VITE_EDGE_URL;
  if (typeof given === "string" && given) return given;
  return import.meta.env.DEV ? "http://localhost:8000" : location.origin;
}
