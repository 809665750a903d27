// Golden frames of a client are what the client sends; those of the server do what they are for.

import { expect, test } from "vitest";
import { decode, isDelivery, toMessage, toPage } from "../src/codec.js";
import { errorOf } from "../src/errors.js";
import type { ErrorFrame, HistoryFrame } from "../src/frames.js";
import type { TidewireClient } from "../src/index.js";
import { connected, pass, scene, settle, watch, withClock } from "./clients.js";
import { GOLDEN, type Golden } from "./golden.js";

withClock();

const POSITION = { epoch: "b7Qk2xV9", offset: 41 };
type Call = (client: TidewireClient, golden: Golden["frame"]) => unknown;
const publish: Call = (client, { type, id, data }) =>
  client.publish("general", data, { type: type as "chat_message", ...(id !== undefined && { id }) });

/** What an application calls so that the frame is sent, once it is a member of `general`. */
const CALLS: Record<string, Call> = {
  client_ack: (client) => client.ack("general", { epoch: "b7Qk2xV9", offset: 42 }),
  client_agent_status: publish,
  client_broadcast: (client, { id, data }) => client.broadcast(data, { id: id ?? "" }),
  client_channel_message: publish,
  client_chat_message: publish,
  client_chat_message_ignored_fields: publish,
  client_chat_message_without_id: publish,
  client_direct_message: (client, { id, data }) => client.direct("bob", { content: data.content }, { id: id ?? "" }),
  client_disconnect: (client) => client.disconnect(),
  client_graph_update: publish,
  client_history: (client) => client.history("general"),
  client_history_from_oldest: (client) => client.history("general", { since: { offset: 0 } }),
  client_history_since: (client) => client.history("general", { since: { ...POSITION, offset: 40 }, limit: 2 }),
  client_leave_channel: (client) => client.leave("general"),
  client_ping: (client) => client.ping(),
  client_ping_bare: (client) => client.ping(),
  client_presence: (client) => client.presence("general"),
  client_receipt: (client) => client.receipt("general", 42),
  client_task_update: publish,
};

/** The same for the joins, before it is a member. */
const JOINS: Record<string, Call> = {
  client_join_channel: (client) => client.join("general"),
  client_join_channel_history: (client) => client.join("general", { history: 10 }),
  client_join_channel_last_acked: (client) => client.join("general", { recover: "last_acked" }),
  client_join_channel_recover: (client) => client.join("general", { recover: POSITION, presence: true }),
};

/** What is compared: an id that the client makes is its own affair, and it sends nothing that is ignored. */
function essence(frame: object, golden: Golden): object {
  const { id, timestamp, client_id, ...rest } = frame as Golden["frame"];
  const isMessage = golden.name in CALLS && CALLS[golden.name] === publish && golden.frame.id !== undefined;
  const data = golden.frame.type === "ping" ? undefined : rest.data;
  expect([timestamp, client_id].every((value) => value === undefined || golden.name.endsWith("ignored_fields"))).toBe(
    true,
  );
  return { ...rest, data, ...(isMessage && { id }) };
}

const client = GOLDEN.filter(({ direction }) => direction === "client");

test.each(client.filter(({ frame }) => frame.type !== "connect"))("$name is sent", async (golden) => {
  const made = await connected();
  const join = JOINS[golden.name];
  if (!join) void made.client.join("general");
  await settle();
  const call = join ?? CALLS[golden.name];
  expect(call, "a golden frame that nothing sends").toBeDefined();
  watch(Promise.resolve(call?.(made.client, golden.frame)));
  await pass(500);
  const sent = made.edge.socket.ofType(golden.frame.type).at(-1);
  expect(essence(sent ?? {}, golden)).toEqual(essence(golden.frame, golden));
});

test("client_connect is sent", async () => {
  const golden = client.find(({ name }) => name === "client_connect");
  const made = scene({ apiKey: "valid-test-key" });
  watch(made.client.connect());
  await settle();
  expect(made.edge.socket.sent[0]).toEqual({ ...golden?.frame, id: expect.any(String) as string });
});

test("client_connect_resume is sent", async () => {
  const golden = client.find(({ name }) => name === "client_connect_resume");
  const { channel, ...position } = (
    golden?.frame.data.resume as { channel: string; epoch: string; offset: number }[]
  )[0] ?? { channel: "" };
  const made = scene({ apiKey: "valid-test-key", connectionType: "agents" });
  watch(made.client.join(channel, { recover: position as typeof POSITION }));
  watch(made.client.connect());
  await settle();
  const resume = (golden?.frame.data.resume as object[]).slice(0, 1);
  expect(made.edge.socket.sent[0]).toEqual({
    ...golden?.frame,
    id: expect.any(String) as string,
    data: { ...golden?.frame.data, resume },
  });
});

test.each(GOLDEN.filter(({ direction }) => direction === "server"))("$name is decoded", ({ frame }) => {
  const decoded = decode(JSON.stringify(frame));
  expect(decoded).toEqual(frame);
  expect(decoded && isDelivery(decoded)).toBe("offset" in frame && frame.type !== "message_delivered");
});

test.each(GOLDEN.filter(({ frame }) => frame.epoch !== undefined && frame.type !== "message_delivered"))(
  "$name is a message, its offset also as digits",
  ({ frame }) => {
    const digits = decode(JSON.stringify({ ...frame, offset: String(frame.offset) }));
    expect(digits && isDelivery(digits) && toMessage(digits)).toEqual(frame);
  },
);

test.each(GOLDEN.filter(({ name }) => name.startsWith("server_history")))("$name is a page", ({ frame }) => {
  expect(toPage((frame as unknown as HistoryFrame).data)).toEqual(frame.data);
});

test.each(GOLDEN.filter(({ frame, direction }) => frame.type === "error" && direction === "server"))(
  "$name is an error with its fields",
  ({ frame }) => {
    const error = errorOf(frame as unknown as ErrorFrame);
    expect(error).toMatchObject({
      errorType: frame.data.error_type,
      message: frame.data.message,
      code: frame.data.code ?? 0,
      retryAfterMs: frame.data.retry_after_ms,
      details: frame.data.details,
      id: frame.id,
    });
  },
);

test.each(GOLDEN.filter(({ name }) => name.startsWith("server_disconnect")))("$name is obeyed", async ({ frame }) => {
  const made = await connected();
  const { code, reconnect, retry_after_ms } = frame.data as {
    code: number;
    reconnect: boolean;
    retry_after_ms?: number;
  };
  made.edge.socket.say(frame);
  made.edge.socket.end(code);
  await settle();
  expect(made.client.status).toMatchObject({
    state: reconnect ? "reconnecting" : "failed",
    authenticated: false,
    retryInMs: retry_after_ms,
  });
  await pass((retry_after_ms ?? 60_000) - 1);
  expect(made.edge.sockets).toHaveLength(1);
  await pass(1);
  expect(made.edge.sockets).toHaveLength(reconnect ? 2 : 1);
});
