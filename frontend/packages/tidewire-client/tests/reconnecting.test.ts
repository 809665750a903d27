// How connections end, and how the client comes back or stays away.

import { expect, test, vi } from "vitest";
import type { Status } from "../src/index.js";
import { connected, pass, scene, settle, watch, withClock } from "./clients.js";
import { GOOD_KEY } from "./fake_edge.js";

withClock();

test.each([1006, 1005, 1001, 1011, 1013, 4001])("comes back after a close with %i", async (code) => {
  const made = await connected();
  made.edge.socket.end(code);
  await settle();
  expect(made.client.status).toMatchObject({ state: "reconnecting", retryInMs: 250, error: { code } });
  await pass(250);
  expect(made.client.status.state).toBe("connected");
});

test.each([1000, 1009, 4000, 4002, 4003])("stays away after a close with %i", async (code) => {
  const made = await connected();
  made.edge.socket.end(code);
  await pass(60_000);
  expect(made.client.status).toMatchObject({ state: "failed", error: { errorType: "connection_lost", code } });
  expect(made.edge.sockets).toHaveLength(1);
});

test("waits longer after each failure, up to a bound, and counts them", async () => {
  const { client, edge } = scene({ random: () => 0.999 });
  edge.away = true;
  watch(client.connect());
  const waits: number[] = [];
  client.on("status", ({ state, retryInMs }: Status) => {
    if (state === "reconnecting") waits.push(Math.round(retryInMs ?? 0));
  });
  await pass(120_000);
  expect(waits.slice(0, 8)).toEqual([500, 999, 1998, 3996, 7992, 15984, 29970, 29970]);
  expect(client.status.attempts).toBe(waits.length);
  edge.away = false;
  while (client.status.state !== "connected") await pass(1_000);
  expect(client.status.attempts).toBe(waits.length);
  await pass(5_000);
  expect(client.status).toMatchObject({ state: "connected", attempts: 0 });
});

test("connections that die young are failures in a row", async () => {
  const made = await connected();
  for (const attempts of [1, 2, 3]) {
    made.edge.socket.end(1006);
    await settle();
    expect(made.client.status.attempts).toBe(attempts);
    await pass(made.client.status.retryInMs ?? 0);
  }
  await pass(5_000);
  made.edge.socket.end(1006);
  await settle();
  expect(made.client.status.attempts).toBe(1);
});

test.each([
  [1e300, 86_400_000],
  [3_000_000_000, 86_400_000],
  ["8000", 8_000],
])("of a wait of %j ms a day at most is kept", async (asked, retryInMs) => {
  const made = await connected();
  made.edge.disconnect({ code: 1013, reconnect: true, reason: "Edge is full", retry_after_ms: asked });
  await settle();
  expect(made.client.status).toMatchObject({ state: "reconnecting", retryInMs });
});

test.each(["soon", {}, null])("a wait of %j is none that was asked for", async (asked) => {
  const made = await connected();
  made.edge.disconnect({ code: 1013, reconnect: true, reason: "Edge is full", retry_after_ms: asked });
  await settle();
  expect(made.client.status).toMatchObject({ state: "reconnecting", retryInMs: 250 });
});

test("a wait that the server asked for is kept, also when the network comes back or backoff is shorter", async () => {
  const page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
  const made = await connected();
  made.edge.disconnect({ code: 1013, reconnect: true, reason: "Edge is full", retry_after_ms: 8_000 });
  await pass(7_999);
  page.dispatchEvent(new Event("online"));
  await settle();
  expect(made.edge.sockets).toHaveLength(1);
  await pass(1);
  expect(made.edge.sockets).toHaveLength(2);
  made.edge.away = true;
  made.edge.socket.end(1006);
  await settle();
  page.dispatchEvent(new Event("online"));
  await settle();
  expect(made.edge.sockets).toHaveLength(3);
  made.client.disconnect();
  page.dispatchEvent(new Event("online"));
  await pass(60_000);
  expect(made.edge.sockets).toHaveLength(3);
  vi.unstubAllGlobals();
});

test("an attempt that takes too long is given up", async () => {
  const { client, edge } = scene({ connectTimeoutMs: 3_000 });
  edge.mute = true;
  watch(client.connect());
  await pass(3_000);
  expect(client.status).toMatchObject({ state: "reconnecting", error: { errorType: "no_answer" } });
  expect(edge.socket.closed).toBe(true);
  const silent = scene({ connectTimeoutMs: 3_000, apiKey: () => new Promise(() => undefined) });
  watch(silent.client.connect());
  await pass(3_000);
  expect(silent.client.status).toMatchObject({ state: "reconnecting", error: { errorType: "no_answer" } });
});

test("silence is noticed, signs of life are not asked for without need", async () => {
  const made = await connected({ heartbeatMs: 2_000, pongTimeoutMs: 1_000 });
  const pings = (): number => made.edge.socket.ofType("ping").length;
  await pass(1_500);
  made.edge.publish("*", { content: 1 });
  await pass(1_900);
  expect(pings()).toBe(0);
  await pass(100);
  expect(pings()).toBe(1);
  await pass(10_000);
  expect(made.client.status.state).toBe("connected");
  expect(pings()).toBeGreaterThan(3);
  made.edge.mute = true;
  await pass(4_000);
  expect(made.client.status.error).toMatchObject({ errorType: "no_answer" });
  expect(made.edge.sockets[0]?.closed).toBe(true);
});

test("disconnect says good-bye, rejects what waits, and stays away", async () => {
  const made = await connected();
  made.edge.refuse = ({ type }) => (type === "connect" ? undefined : "silence");
  const waiting = [made.client.publish("*", {}), made.client.join("general"), made.client.presence("general")].map(
    (promise) => watch<unknown>(promise),
  );
  await settle();
  made.client.disconnect();
  await pass(60_000);
  expect(made.client.status).toEqual({
    state: "disconnected",
    authenticated: false,
    attempts: 0,
    retryInMs: undefined,
    error: undefined,
    session: undefined,
  });
  expect(waiting.map(({ error }) => error?.errorType)).toEqual(["cancelled", "cancelled", "cancelled"]);
  expect(made.edge.socket.sent.at(-1)).toEqual({ type: "disconnect" });
  expect(made.edge.sockets).toHaveLength(1);
});

test("disconnect while connecting cancels that, and a key that comes late is not used", async () => {
  let give: (key: string) => void = () => undefined;
  const { client, edge } = scene({ apiKey: () => new Promise((resolve) => (give = resolve)) });
  const status = watch(client.connect());
  await settle();
  client.disconnect();
  give(GOOD_KEY);
  await pass(60_000);
  expect(status.error).toMatchObject({ errorType: "cancelled" });
  expect(edge.sockets).toHaveLength(0);
});

test("connect() while waiting for the next attempt tries at once", async () => {
  const { client, edge } = scene();
  edge.away = true;
  const first = watch(client.connect());
  await settle();
  edge.away = false;
  const second = watch(client.connect());
  await settle();
  expect([first.value?.state, second.value?.state]).toEqual(["connected", "connected"]);
  expect((await client.connect()).state).toBe("connected");
});
