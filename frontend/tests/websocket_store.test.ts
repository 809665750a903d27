import { describe, expect, test } from "vitest";
import { INITIAL, stateOf } from "$lib/stores/websocket";
import { pass, scene, settle, withClock } from "./page";

withClock();

describe("authentication states", () => {
  test("at first: not authenticated", () => {
    expect(scene().state()).toEqual(INITIAL);
    expect(INITIAL).toMatchObject({ connection: "Disconnected", auth: "Not Authenticated", reconnectAttempts: 0 });
  });

  test("after authentication: authenticated", async () => {
    const { state, connect } = scene();
    await connect();
    expect(state()).toMatchObject({ connection: "Connected", auth: "Authenticated", error: undefined });
  });

  test("after a connection error: not authenticated, and it says why", async () => {
    const { edge, state, connect } = scene();
    await connect();
    edge.socket.end(1006);
    await settle();
    expect(state()).toMatchObject({ connection: "Reconnecting", auth: "Not Authenticated", reconnectAttempts: 1 });
    expect(state().error?.errorType).toBe("connection_lost");
    expect(state().retryInMs).toBe(250);
  });

  test("after a reconnection: authenticated again, with the key sent again", async () => {
    const { edge, state, connect } = scene();
    await connect();
    edge.socket.end(1006);
    await pass(500);
    expect(edge.sockets.map((socket) => socket.ofType("connect").length)).toEqual([1, 1]);
    expect(state()).toMatchObject({ connection: "Connected", auth: "Authenticated", error: undefined });
  });

  test("after cleanup: as at first, and nothing comes any more", async () => {
    const { edge, store, state, connect } = scene();
    await connect();
    store.cleanup();
    await pass(60_000);
    expect(state()).toEqual(INITIAL);
    expect(store.client).toBeUndefined();
    expect(edge.sockets).toHaveLength(1);
  });

  test("joins, leaves, status updates and messages leave it authenticated", async () => {
    const { store, state, connect } = scene();
    await connect();
    const seen = new Set<string>();
    const end = store.subscribe(({ connection, auth }) => seen.add(`${connection}, ${auth}`));
    const { client } = store;
    for (const done of [
      () => client?.join("general"),
      () => client?.publish("general", { content: "Hello" }),
      () => client?.publish("general", { agent: "planner", status: "busy" }, { type: "agent_status" }),
      () => client?.leave("general"),
    ]) {
      await Promise.all([done(), pass(100)]);
    }
    end();
    expect([...seen]).toEqual(["Connected, Authenticated"]);
    expect(state().auth).toBe("Authenticated");
  });
});

test("a refused key is an error, and is not tried again", async () => {
  const { edge, state, connect } = scene();
  await connect({ apiKey: "bad-key" });
  expect(state()).toMatchObject({ connection: "Error", auth: "Not Authenticated" });
  expect(state().error).toMatchObject({ errorType: "invalid_key", code: 403, message: "Invalid API key" });
  await pass(120_000);
  expect(edge.sockets).toHaveLength(1);
});

test("retry tries a refused key again, and ends a wait", async () => {
  const { edge, store, state, connect } = scene();
  await connect({ apiKey: "bad-key" });
  store.retry();
  await settle();
  expect(edge.sockets).toHaveLength(2);
  await connect();
  edge.socket.end(1006);
  await settle();
  expect(state().connection).toBe("Reconnecting");
  store.retry();
  await settle();
  expect(state().connection).toBe("Connected");
});

test("while nobody listens the wait grows, and all the attempts are counted", async () => {
  const { edge, state, connect } = scene();
  await connect();
  edge.away = true;
  edge.socket.end(1006);
  await settle();
  const waits: (number | undefined)[] = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    expect(state()).toMatchObject({ connection: "Reconnecting", reconnectAttempts: attempt });
    waits.push(state().retryInMs);
    await pass(state().retryInMs ?? 0);
  }
  expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000]);
});

test("another client takes the place of the one before", async () => {
  const { edge, store, state, connect } = scene();
  await connect();
  const before = store.client;
  await connect({ clientId: "bob" });
  expect(before?.status.state).toBe("disconnected");
  expect(store.client?.clientId).toBe("bob");
  edge.sockets[0]?.end(1006);
  await settle();
  expect(state().connection).toBe("Connected");
});

test("options that cannot be are said at once, and change nothing", async () => {
  const { store, state, connect } = scene();
  await connect();
  await expect(connect({ clientId: "not a name" })).rejects.toMatchObject({ errorType: "invalid_argument" });
  expect(store.client?.clientId).toBe("alice");
  expect(state().connection).toBe("Connected");
});

test("the first attempt connects, later ones reconnect", () => {
  const status = {
    state: "authenticating",
    authenticated: false,
    attempts: 0,
    retryInMs: undefined,
    error: undefined,
    session: undefined,
  } as const;
  expect(stateOf(status).connection).toBe("Connecting");
  expect(stateOf({ ...status, attempts: 2 }).connection).toBe("Reconnecting");
});
