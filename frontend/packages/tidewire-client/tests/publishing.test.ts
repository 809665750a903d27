// Messages on their way to the server: each stored once, each confirmed or refused, in order.

import { expect, test } from "vitest";
import { connected, contents, pass, reconnect, scene, settle, watch, withClock } from "./clients.js";
import { LIMITS } from "./fake_edge.js";

withClock();

const stored = (made: Awaited<ReturnType<typeof connected>>, channel = "general"): unknown[] =>
  made.edge.room(channel).stored.map(({ data }) => data.content);

test("a confirmation says where the message is stored", async () => {
  const { client } = await connected();
  await Promise.all([client.join("general"), settle()]);
  const delivery = watch(client.publish("general", { content: "Hi" }, { id: "m-1", type: "channel_message" }));
  await settle();
  expect(delivery.value).toEqual({ id: "m-1", channel: "general", epoch: "e1", offset: 1 });
});

test("broadcasts and direct messages are confirmed in their own channels", async () => {
  const { client, messages } = await connected();
  const [broadcast, direct] = [
    watch(client.broadcast({ content: 1 })),
    watch(client.direct("alice", { content: 2, to: "nobody" })),
  ];
  await settle();
  expect(broadcast.value).toMatchObject({ channel: "*", offset: 1 });
  expect(direct.value).toMatchObject({ channel: "@alice", offset: 1 });
  expect(messages.map(({ type, data }) => [type, data])).toEqual([
    ["broadcast", { content: 1 }],
    ["direct_message", { content: 2, to: "alice" }],
  ]);
});

test("what is published offline is sent in order, once, when its channel is joined", async () => {
  const made = scene();
  const promises = [1, 2, 3].map((content) => watch(made.client.publish("general", { content })));
  void made.client.join("general");
  expect(made.client.pending).toBe(3);
  watch(made.client.connect());
  await settle();
  expect(promises.map(({ value }) => value?.offset)).toEqual([1, 2, 3]);
  expect(made.client.pending).toBe(0);
  const types = made.edge.socket.sent.map(({ type }) => type);
  expect(types.indexOf("join_channel")).toBeLessThan(types.indexOf("chat_message"));
  expect(stored(made)).toEqual([1, 2, 3]);
});

test("what was not confirmed is sent again with its id, and stored once", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  const { socket } = made.edge;
  const data = { content: 1 };
  const first = watch(made.client.publish("general", data));
  const second = watch(made.client.publish("general", { content: 2 }));
  data.content = 99; // a message is what it was when it was published
  const say = socket.say.bind(socket);
  socket.say = (frame) => {
    if ((frame as { type: string }).type !== "message_delivered") say(frame);
  };
  await settle();
  expect(stored(made)).toEqual([1, 2]);
  expect(first.value).toBeUndefined();
  await reconnect(made);
  expect(made.edge.socket.ofType("chat_message").map(({ id }) => id)).toEqual(
    socket.ofType("chat_message").map(({ id }) => id),
  );
  expect([first.value?.offset, second.value?.offset]).toEqual([1, 2]);
  expect(stored(made)).toEqual([1, 2]);
  expect(contents(made.messages)).toEqual([1, 2]);
});

test("a channel that is joined again holds its messages, others pass", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general", { presence: true }), made.client.join("ops"), settle()]);
  made.edge.refuse = ({ type }) => (type === "join_channel" ? "silence" : undefined);
  await reconnect(made);
  const [held, passed] = [
    watch(made.client.publish("general", { content: 1 })),
    watch(made.client.publish("ops", { content: 2 })),
  ];
  await settle();
  expect(held.value).toBeUndefined();
  expect(passed.value?.offset).toBe(1);
  made.edge.refuse = () => undefined;
  await pass(16_000); // the server owes an answer for too long: another connection
  expect(held.value?.offset).toBe(1);
});

test("an error rejects, with its fields", async () => {
  const { client, edge } = await connected();
  edge.refuse = ({ type }) =>
    type === "task_update"
      ? {
          message: "Missing permission: publish:ops",
          error_type: "permission_denied",
          code: 403,
          details: { permission: "publish:ops" },
        }
      : undefined;
  const refused = watch(client.publish("ops", {}, { type: "task_update", id: "m-1" }));
  const stranger = watch(client.publish("nowhere", { content: 1 }));
  await settle();
  expect(refused.error).toMatchObject({
    errorType: "permission_denied",
    code: 403,
    details: { permission: "publish:ops" },
    id: "m-1",
    transient: false,
    name: "TidewireError",
  });
  expect(stranger.error).toMatchObject({ errorType: "channel_error", code: 404 });
  expect(client.pending).toBe(0);
});

test("what the server could not do is rejected as transient, and may be published again with its id", async () => {
  const { client, edge } = await connected();
  edge.refuse = () => ({ message: "away", error_type: "unavailable", code: 503, retry_after_ms: 1_000 });
  const first = watch(client.broadcast({ content: 1 }, { id: "m-1" }));
  await settle();
  expect(first.error).toMatchObject({ transient: true, retryAfterMs: 1_000, id: "m-1" });
  edge.refuse = () => undefined;
  const again = watch(client.broadcast({ content: 1 }, { id: first.error?.id ?? "" }));
  await settle();
  expect(again.value?.id).toBe("m-1");
});

test("the queue is bounded, and ids are taken once", async () => {
  const { client } = scene({ maxQueue: 2 });
  const waiting = [watch(client.broadcast({}, { id: "a" })), watch(client.broadcast({}))];
  await expect(client.broadcast({}, { id: "a" })).rejects.toMatchObject({ errorType: "invalid_argument", id: "a" });
  await expect(client.broadcast({})).rejects.toMatchObject({ errorType: "queue_full" });
  expect(client.pending).toBe(2);
  expect(waiting.every(({ error }) => error === undefined)).toBe(true);
});

test("what is too large is refused here, in bytes, by the limit of the connection", async () => {
  const made = scene();
  await expect(made.client.broadcast({ content: "ü".repeat(33_000) })).rejects.toMatchObject({
    errorType: "message_error",
    code: 413,
  });
  made.edge.limits = { ...LIMITS, max_frame_bytes: 1_000 };
  const queued = watch(made.client.broadcast({ content: "x".repeat(1_000) }));
  const behind = watch(made.client.broadcast({ content: "x" }));
  watch(made.client.connect());
  await settle();
  expect(queued.error).toMatchObject({ errorType: "message_error", code: 413 });
  expect(behind.value?.offset).toBe(1);
});

test("a message without confirmation is given up in time, even if the clock jumped meanwhile", async () => {
  const made = scene({ publishTimeoutMs: 10_000 });
  const first = watch(made.client.broadcast({ content: 1 }));
  await pass(6_000);
  const second = watch(made.client.broadcast({ content: 2 }));
  await pass(4_000);
  expect(first.error).toMatchObject({ errorType: "no_answer", transient: true });
  expect(second.error).toBeUndefined();
  await pass(6_000);
  expect(second.error).toMatchObject({ errorType: "no_answer" });
});

test("sends no faster than the limits say", async () => {
  const made = scene({ maxQueue: 2_000 });
  made.edge.limits = { ...LIMITS, frames_per_second: 100, frames_burst: 50 };
  for (let n = 0; n < 400; n++) watch(made.client.broadcast({ content: n }));
  watch(made.client.connect());
  await settle();
  const sent = (): number => made.edge.socket.ofType("broadcast").length;
  expect(sent()).toBeLessThanOrEqual(45);
  await pass(1_000);
  expect(sent()).toBeGreaterThan(100);
  expect(sent()).toBeLessThanOrEqual(140);
  await pass(4_000);
  expect(sent()).toBe(400);
  expect(stored(made, "*")).toEqual([...Array(400).keys()]);
});

test("bytes are paced too, and 0 is no limit", async () => {
  const made = scene();
  made.edge.limits = { ...LIMITS, frames_per_second: 0, bytes_per_second: 10_000, max_frame_bytes: 10_000 };
  for (let n = 0; n < 4; n++) watch(made.client.broadcast({ content: "x".repeat(5_000) }));
  watch(made.client.connect());
  await settle();
  expect(made.edge.socket.ofType("broadcast")).toHaveLength(1);
  await pass(3_000);
  expect(made.edge.socket.ofType("broadcast")).toHaveLength(4);
  const free = scene();
  free.edge.limits = { ...LIMITS, frames_per_second: 0, bytes_per_second: 0 };
  for (let n = 0; n < 900; n++) watch(free.client.broadcast({ content: n }));
  watch(free.client.connect());
  await settle();
  expect(free.edge.socket.ofType("broadcast")).toHaveLength(900);
});

test("what came too fast is sent again after the pause that the server asked for", async () => {
  const made = await connected();
  let patience = 1;
  made.edge.refuse = ({ type }) =>
    type === "broadcast" && patience-- > 0
      ? { message: "Rate limit exceeded", error_type: "rate_limited", code: 429, retry_after_ms: 700 }
      : undefined;
  const sent = watch(made.client.broadcast({ content: 1 }));
  await pass(699);
  expect(made.edge.socket.ofType("broadcast")).toHaveLength(1);
  await pass(2);
  expect(sent.value?.offset).toBe(1);
});

test("who watches frames may publish meanwhile", async () => {
  const made = await connected();
  const end = made.client.on("frame", ({ frame }) => {
    if (frame.type !== "broadcast") return;
    end();
    watch(made.client.broadcast({ content: 2 }));
  });
  watch(made.client.broadcast({ content: 1 }));
  await settle();
  expect(made.edge.socket.ofType("broadcast").map(({ data }) => data.content)).toHaveLength(2);
  expect(new Set(stored(made, "*"))).toEqual(new Set([1, 2]));
});
