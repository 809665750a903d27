// A connection's beginning: options, key, authentication; and what a client tells of it.

import { expect, test, vi } from "vitest";
import { TidewireClient } from "../src/index.js";
import { connected, pass, reconnect, scene, settle, watch, withClock } from "./clients.js";
import { FakeEdge, GOOD_KEY } from "./fake_edge.js";

withClock();

test("connects in two steps and tells each", async () => {
  const { client, edge } = scene();
  const states: string[] = [];
  client.on("status", ({ state, authenticated }) => states.push(`${state} ${authenticated}`));
  const status = watch(client.connect());
  await settle();
  expect(edge.socket.url).toBe("ws://edge/client_alice");
  expect(states).toEqual(["connecting false", "authenticating false", "connected true"]);
  expect(status.value).toMatchObject({
    state: "connected",
    attempts: 0,
    session: { client_id: "alice", limits: edge.limits },
  });
});

test("the address is made from http too, and of the debug endpoint when wanted", async () => {
  const { client, edge } = scene({ url: "https://edge.example/", debug: true });
  watch(client.connect());
  await settle();
  expect(edge.socket.url).toBe("wss://edge.example/debug/client_alice");
});

test.each([
  [{ clientId: "no good" }, "clientId"],
  [{ domain: "" }, "domain"],
  [{ workspace: "x".repeat(65) }, "workspace"],
  [{ url: "edge.example" }, "url"],
])("%o is refused at once", (options, name) => {
  expect(() => scene(options)).toThrow(
    expect.objectContaining({ errorType: "invalid_argument", message: expect.stringContaining(name) as string }),
  );
});

test("without any WebSocket it says what to do", () => {
  vi.stubGlobal("WebSocket", undefined);
  expect(() => new TidewireClient({ url: "ws://edge", clientId: "a", apiKey: "k" })).toThrow(/WebSocket/);
  vi.unstubAllGlobals();
});

test("a key that is refused ends it, and is told", async () => {
  const { client, edge } = scene({ apiKey: "bad-key" });
  const status = watch(client.connect());
  const all = [client.publish("general", { content: 1 }), client.join("general"), client.presence("general")];
  const waiting = all.map((promise) => watch<unknown>(promise));
  await settle();
  expect(status.error).toMatchObject({ errorType: "invalid_key", code: 403, message: "Invalid API key" });
  expect(client.status).toMatchObject({ state: "failed", authenticated: false, error: status.error });
  expect(waiting.map(({ error }) => error)).toEqual([status.error, status.error, status.error]);
  await pass(120_000);
  expect(edge.sockets).toHaveLength(1);
});

test("after a refusal, connect() asks for the key again", async () => {
  let key = "bad-key";
  const { client } = scene({ apiKey: () => key });
  await expect(Promise.all([client.connect(), settle()])).rejects.toMatchObject({ errorType: "invalid_key" });
  key = GOOD_KEY;
  const status = watch(client.connect());
  await settle();
  expect(status.value?.state).toBe("connected");
});

test("the key is fetched before each socket is opened", async () => {
  let give: (key: string) => void = () => undefined;
  const apiKey = vi.fn(() => new Promise<string>((resolve) => (give = resolve)));
  const made = scene({ apiKey });
  watch(made.client.connect());
  await pass(9_000);
  expect(made.edge.sockets).toHaveLength(0);
  give(GOOD_KEY);
  await settle();
  expect(made.client.status.state).toBe("connected");
  await reconnect(made);
  expect(apiKey).toHaveBeenCalledTimes(2);
});

test("a key that cannot be fetched is fetched again", async () => {
  const apiKey = vi.fn(() => Promise.resolve(GOOD_KEY)).mockRejectedValueOnce(new Error("no network"));
  const { client } = scene({ apiKey });
  const status = watch(client.connect());
  await settle();
  expect(client.status).toMatchObject({
    state: "reconnecting",
    error: { message: "No connection: Error: no network" },
  });
  await pass(500);
  expect(status.value?.state).toBe("connected");
});

test("a key that expires in use is followed by another one, never by itself", async () => {
  const keys = [GOOD_KEY, "another-good-key", "another-good-key"];
  const made = await connected({ apiKey: () => keys.shift() ?? "" });
  const expire = async (): Promise<void> => {
    made.edge.socket.say({ type: "error", data: { message: "Token expired", error_type: "token_expired", code: 403 } });
    made.edge.disconnect({ code: 4000, reconnect: false, reason: "Token expired" });
    await pass(500);
  };
  await expire();
  expect(made.edge.socket.ofType("connect")[0]?.data.api_key).toBe("another-good-key");
  expect(made.client.status.state).toBe("failed"); // the fake edge knows one key only
  const fixed = await connected();
  fixed.edge.socket.say({ type: "error", data: { message: "Token expired", error_type: "token_expired", code: 403 } });
  fixed.edge.disconnect({ code: 4000, reconnect: false, reason: "Token expired" });
  await pass(60_000);
  expect(fixed.client.status).toMatchObject({ state: "failed", error: { errorType: "token_expired" } });
  expect(fixed.edge.sockets).toHaveLength(1);
  const same = await connected({ apiKey: () => GOOD_KEY });
  same.edge.socket.say({ type: "error", data: { message: "Token expired", error_type: "token_expired", code: 403 } });
  same.edge.disconnect({ code: 4000, reconnect: false, reason: "Token expired" });
  await pass(60_000);
  expect(same.client.status).toMatchObject({ state: "failed", error: { errorType: "token_expired" } });
  expect(same.edge.sockets).toHaveLength(1);
});

test.each([
  [{ error_type: "unavailable", code: 503, retry_after_ms: 1_000 }, "reconnecting"],
  [{ error_type: "permission_denied", code: 403 }, "failed"],
])("connect is refused with %o while the connection stays open: %s", async (refusal, state) => {
  const { client, edge } = scene();
  edge.refuse = ({ type }) => (type === "connect" ? { message: "no", ...refusal } : undefined);
  watch(client.connect());
  await pass(500);
  expect(client.status).toMatchObject({ state, error: { errorType: refusal.error_type } });
  expect(edge.socket.closed).toBe(true);
  edge.refuse = () => undefined;
  await pass(1_000);
  expect(client.status.state).toBe(state === "failed" ? "failed" : "connected");
});

test("frames can be watched, and show no key", async () => {
  const { client } = scene();
  const seen: string[] = [];
  client.on("frame", (event) => seen.push(JSON.stringify(event)));
  watch(client.connect());
  await settle();
  expect(seen.length).toBeGreaterThan(3);
  expect(seen.join()).not.toContain(GOOD_KEY);
  expect(JSON.parse(seen[1] ?? "")).toMatchObject({
    direction: "out",
    frame: { type: "connect", data: { api_key: "…" } },
  });
});

test("what is no frame is passed over, and the key's news are told", async () => {
  const made = await connected();
  const news = vi.fn();
  made.client.on("auth", news);
  for (const data of ["no JSON", "null", "[]", '{"type": 5}', new ArrayBuffer(3)])
    made.edge.socket.onmessage?.({ data });
  made.edge.socket.say({
    type: "auth_status",
    data: { status: "authenticated", message: "Permissions were checked again" },
  });
  await settle();
  expect(news).toHaveBeenCalledWith({ status: "authenticated", message: "Permissions were checked again" });
  expect(made.client.status.state).toBe("connected");
});

test("a listener that fails stops nobody else", async () => {
  const edge = new FakeEdge();
  const client = new TidewireClient({
    url: "ws://edge",
    clientId: "alice",
    apiKey: GOOD_KEY,
    WebSocket: edge.WebSocket,
  });
  const uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
  const heard = vi.fn();
  const end = client.on("status", () => {
    end();
    throw new Error("mine");
  });
  client.on("status", heard);
  const done = watch(client.connect());
  await settle();
  expect(done.value?.state).toBe("connected");
  expect(heard).toHaveBeenCalledTimes(3);
  await expect(uncaught).resolves.toMatchObject({ message: "mine" });
});
