// Questions and acknowledgements.

import { expect, test } from "vitest";
import { inboxOf } from "../src/index.js";
import { connected, pass, reconnect, scene, settle, watch, withClock } from "./clients.js";

withClock();

test("history, presence and receipts are answered, numbers as numbers", async () => {
  const { client, edge } = await connected();
  for (const content of [1, 2, 3]) edge.publish("general", { content });
  edge.publish(inboxOf("alice"), { content: "direct" }, { type: "direct_message" });
  const page = watch(client.history("general", { since: { offset: 0 }, limit: 2 }));
  const inbox = watch(client.history(inboxOf("alice")));
  const members = watch(client.presence("general"));
  const receipt = watch(client.receipt("general", 3));
  await settle();
  expect(page.value).toMatchObject({ more: true, offset: 3, epoch: "e1", messages: [{ offset: 1 }, { offset: 2 }] });
  expect(inbox.value?.messages[0]?.data).toEqual({ content: "direct" });
  expect(members.value).toEqual([]);
  expect(receipt.value).toEqual({ channel: "general", epoch: "e1", offset: 3, written: 2, acknowledged: 1 });
});

test("what is asked offline is asked when there is a connection, and again on the next one", async () => {
  const made = scene();
  const page = watch(made.client.history("general"));
  made.edge.refuse = ({ type }) => (type === "history" ? "silence" : undefined);
  watch(made.client.connect());
  await settle();
  expect(page.value).toBeUndefined();
  made.edge.refuse = () => undefined;
  await reconnect(made);
  expect(page.value?.messages).toEqual([]);
});

test("a question without answer is given up in time, and what comes late is nobody's", async () => {
  const { client, edge } = await connected({ requestTimeoutMs: 5_000 });
  edge.refuse = () => "silence";
  const page = watch(client.history("general"));
  await pass(5_000);
  expect(page.error).toMatchObject({ errorType: "no_answer", transient: true });
  const { id } = edge.socket.ofType("history").at(-1) ?? {};
  edge.socket.say({
    type: "history",
    id,
    data: { channel: "general", messages: [], epoch: "e1", offset: 0, more: false },
  });
  await settle();
  expect(client.status.state).toBe("connected");
});

test("a refusal rejects, one for the rate is asked again after the pause", async () => {
  const { client, edge } = await connected();
  edge.refuse = ({ type }) =>
    type === "presence"
      ? { message: "no", error_type: "permission_denied", code: 403 }
      : type === "receipt"
        ? { message: "too fast", error_type: "rate_limited", code: 429, retry_after_ms: 300 }
        : undefined;
  const [members, receipt] = [watch(client.presence("general")), watch(client.receipt("general", 1))];
  await settle();
  expect(members.error).toMatchObject({ errorType: "permission_denied" });
  edge.refuse = () => undefined;
  await pass(301);
  expect(receipt.value?.written).toBe(2);
});

test("questions that wait are bounded", async () => {
  const { client } = scene({ maxQueue: 1 });
  const first = watch(client.presence("general"));
  await expect(client.presence("general")).rejects.toMatchObject({ errorType: "queue_full" });
  client.disconnect();
  await settle();
  expect(first.error).toMatchObject({ errorType: "cancelled" });
});

test("ping measures one connection, and ends with it", async () => {
  const made = await connected();
  const answered = watch(made.client.ping());
  await settle();
  expect(answered.value).toBeTypeOf("number");
  made.edge.mute = true;
  const lost = watch(made.client.ping());
  made.edge.socket.end(1006);
  await settle();
  expect(lost.error).toMatchObject({ errorType: "connection_lost" });
  await expect(made.client.ping()).rejects.toMatchObject({ errorType: "connection_lost" });
});

test("what was delivered is acknowledged, the newest of each channel at once", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  for (const content of [1, 2, 3]) made.edge.publish("general", { content });
  made.edge.publish(inboxOf("alice"), { content: 1 }, { type: "direct_message" });
  await pass(200);
  expect(made.edge.acks).toEqual([
    { channel: "general", epoch: "e1", offset: 3 },
    { channel: "@alice", epoch: "e1", offset: 1 },
  ]);
});

test("acknowledgements of an outage are sent after it, those of a channel that was left never", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general", { presence: true }), settle()]);
  made.edge.publish("general", { content: 1 });
  await settle();
  made.edge.socket.end(1006);
  await pass(200);
  expect(made.edge.acks).toEqual([]);
  await pass(500);
  expect(made.edge.acks).toEqual([{ channel: "general", epoch: "e1", offset: 1 }]);
  made.client.ack("elsewhere", { epoch: "e1", offset: 1 });
  made.client.ack("unknown");
  await pass(1_000);
  expect(made.edge.acks).toHaveLength(1);
});

test("by hand nothing is acknowledged by itself, an older position never, and leaving sends what waits", async () => {
  const made = await connected({ acks: "manual" });
  await Promise.all([made.client.join("general"), settle()]);
  for (const content of [1, 2]) made.edge.publish("general", { content });
  await pass(1_000);
  expect(made.edge.acks).toEqual([]);
  made.client.ack("general");
  made.client.ack("general", { epoch: "e1", offset: 1 });
  await Promise.all([made.client.leave("general"), settle()]);
  expect(made.edge.acks).toEqual([{ channel: "general", epoch: "e1", offset: 2 }]);
});

test("a refusal of what nobody waits for is an event", async () => {
  const made = await connected();
  made.edge.socket.say({ type: "error", data: { message: "Not a member", error_type: "channel_error", code: 404 } });
  await settle();
  expect(made.errors).toMatchObject([{ errorType: "channel_error", code: 404 }]);
});
