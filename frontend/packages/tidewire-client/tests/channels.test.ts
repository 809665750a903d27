// Channels: joined, left, taken away, and joined again from where they stopped; nothing missed, nothing twice.

import { expect, test, vi } from "vitest";
import { connected, contents, pass, reconnect, scene, settle, watch, withClock } from "./clients.js";

withClock();

test("a join says where the channel stands, and messages come from then on", async () => {
  const made = await connected();
  made.edge.publish("general", { content: "before" });
  const joined = watch(made.client.join("general"));
  await settle();
  expect(joined.value).toEqual({ channel: "general", epoch: "e1", offset: 1, recovered: true });
  made.edge.publish("general", { content: "after" });
  await settle();
  expect(contents(made.messages)).toEqual(["after"]);
  expect(made.client.position("general")).toEqual({ epoch: "e1", offset: 2 });
});

test("joining twice is joining once", async () => {
  const made = await connected();
  const joins = [watch(made.client.join("general")), watch(made.client.join("general"))];
  await settle();
  expect(joins[0]?.value).toEqual(joins[1]?.value);
  expect(made.edge.socket.ofType("join_channel")).toHaveLength(1);
});

test("after a reconnect what was missed comes, in order, once; presence is asked for again", async () => {
  const made = await connected();
  await Promise.all([made.client.join("plain"), made.client.join("watched", { presence: true }), settle()]);
  for (const channel of ["plain", "watched"]) made.edge.publish(channel, { content: `${channel} 1` });
  await settle();
  made.edge.socket.end(1006);
  await settle();
  for (const channel of ["plain", "watched"])
    for (const n of [2, 3]) made.edge.publish(channel, { content: `${channel} ${n}` });
  await pass(500);
  made.edge.publish("plain", { content: "plain 4" });
  await settle();
  expect(contents(made.messages.filter(({ channel }) => channel === "plain"))).toEqual([
    "plain 1",
    "plain 2",
    "plain 3",
    "plain 4",
  ]);
  expect(contents(made.messages.filter(({ channel }) => channel === "watched"))).toEqual([
    "watched 1",
    "watched 2",
    "watched 3",
  ]);
  const { socket } = made.edge;
  expect(socket.ofType("connect")[0]?.data.resume).toEqual([
    { channel: "*", epoch: "e1", offset: 0 },
    { channel: "plain", epoch: "e1", offset: 1 },
  ]);
  expect(socket.ofType("join_channel").map(({ data }) => data)).toEqual([
    { channel: "watched", presence: true, recover: { epoch: "e1", offset: 1 } },
  ]);
  expect(made.lost).toEqual([]);
});

test("more channels than one connect resumes are joined one by one", async () => {
  const made = await connected();
  const names = [...Array(130).keys()].map((n) => `room-${n}`);
  await Promise.all([...names.map((name) => made.client.join(name)), pass(2_000)]);
  await reconnect(made);
  await pass(2_000);
  expect(made.edge.socket.ofType("connect")[0]?.data.resume).toHaveLength(101); // with the broadcasts
  expect(made.edge.socket.joined.size).toBe(132);
});

test("broadcasts of an outage are caught up with, though none had come before", async () => {
  const made = await connected();
  made.edge.socket.end(1006);
  await settle();
  made.edge.publish("*", { content: "missed" }, { type: "broadcast" });
  await pass(500);
  expect(contents(made.messages)).toEqual(["missed"]);
});

test("broadcasts before the first connection are not ours, one that is just coming is", async () => {
  const made = scene();
  made.edge.publish("*", { content: "old" }, { type: "broadcast" });
  watch(made.client.connect());
  await settle();
  const last = made.edge.publish("*", { content: "new" }, { type: "broadcast" });
  made.edge.socket.say(last);
  await settle();
  expect(contents(made.messages)).toEqual(["new"]);
});

test("direct messages that come again are given to the application once", async () => {
  const made = await connected();
  const direct = made.edge.publish("@alice", { content: 1 }, { type: "direct_message" });
  await settle();
  await reconnect(made);
  made.edge.socket.say(direct);
  await settle();
  expect(contents(made.messages)).toEqual([1]);
  expect(made.edge.socket.ofType("connect")[0]?.data.resume).toContainEqual({
    channel: "@alice",
    epoch: "e1",
    offset: 1,
  });
});

test("after leave nothing of the channel comes, and it is not joined again", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  const left = watch(made.client.leave("general"));
  made.edge.publish("general", { content: "late" });
  const twice = watch(made.client.leave("general"));
  await settle();
  expect(left).toHaveProperty("value");
  expect(twice).toHaveProperty("value");
  expect(made.messages).toEqual([]);
  await reconnect(made);
  expect(made.edge.socket.joined.has("general")).toBe(false);
  await Promise.all([made.client.leave("never joined"), settle()]);
});

test("joining while leaving joins after it, and the answer of the leave ends only that", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  void made.client.leave("general");
  const again = watch(made.client.join("general"));
  await settle();
  expect(again.value?.channel).toBe("general");
  made.edge.socket.say({
    type: "unsubscription_success",
    id: made.edge.socket.ofType("leave_channel")[0]?.id,
    data: { channel: "general", status: "success", message: "" },
  });
  made.edge.publish("general", { content: 1 });
  await settle();
  expect(contents(made.messages)).toEqual([1]);
});

test("leaving while joining, offline, or cut off from the answer", async () => {
  const made = scene();
  const offline = watch(made.client.join("offline"));
  void made.client.leave("offline");
  watch(made.client.connect());
  await settle();
  expect(offline.error).toMatchObject({ errorType: "cancelled" });
  const joining = watch(made.client.join("joining"));
  const left = watch(made.client.leave("joining"));
  await settle();
  expect(joining.error).toMatchObject({ errorType: "cancelled" });
  expect(left).toHaveProperty("value");
  expect(made.edge.socket.joined.has("joining")).toBe(false);
  await Promise.all([made.client.join("cut"), settle()]);
  made.edge.refuse = ({ type }) => (type === "leave_channel" ? "silence" : undefined);
  const cut = watch(made.client.leave("cut"));
  await reconnect(made);
  expect(cut).toHaveProperty("value");
  expect(made.edge.socket.joined.has("cut")).toBe(false);
});

test("a join that is refused is told, and forgotten", async () => {
  const made = await connected();
  made.edge.forbidden.add("ops");
  const join = watch(made.client.join("ops"));
  await settle();
  expect(join.error).toMatchObject({ errorType: "permission_denied" });
  made.edge.forbidden.clear();
  await reconnect(made);
  expect(made.edge.socket.joined.has("ops")).toBe(false);
});

test("a rejoin that is refused is told by an event", async () => {
  const made = await connected();
  const removed = vi.fn();
  made.client.on("removed", removed);
  await Promise.all([made.client.join("ops", { presence: true }), settle()]);
  made.edge.forbidden.add("ops");
  await reconnect(made);
  expect(removed).toHaveBeenCalledWith({ channel: "ops", reason: "permission_denied" });
});

test("a resumed channel that is refused is gone, the others go on", async () => {
  const made = await connected();
  const removed = vi.fn();
  made.client.on("removed", removed);
  await Promise.all([made.client.join("one"), made.client.join("two"), settle()]);
  made.edge.forbidden.add("one");
  await reconnect(made);
  expect(removed).toHaveBeenCalledExactlyOnceWith({ channel: "one", reason: "permission_denied" });
  expect([...made.edge.socket.joined]).toEqual(["*", "@alice", "two"]);
});

test("what the server cannot do for now is tried again", async () => {
  const made = await connected();
  const away = { message: "away", error_type: "unavailable", code: 503, retry_after_ms: 2_000 };
  made.edge.refuse = ({ type }) => (type === "join_channel" || type === "leave_channel" ? away : undefined);
  const joined = watch(made.client.join("general"));
  await settle();
  expect(made.errors).toMatchObject([{ errorType: "unavailable", transient: true }]);
  made.edge.refuse = () => undefined;
  await pass(2_000);
  expect(joined.value?.channel).toBe("general");
  made.edge.refuse = ({ type }) => (type === "leave_channel" ? away : undefined);
  const left = watch(made.client.leave("general"));
  await settle();
  made.edge.refuse = () => undefined;
  await pass(2_000);
  expect(left).toHaveProperty("value");
  expect(made.edge.socket.joined.has("general")).toBe(false);
});

test("a membership that the server takes away is told, also while joining", async () => {
  const made = await connected();
  const removed = vi.fn();
  made.client.on("removed", removed);
  await Promise.all([made.client.join("general"), settle()]);
  const gone = {
    type: "unsubscription_success",
    data: { channel: "general", status: "success", message: "Removed", reason: "permission_denied" },
  };
  made.edge.socket.say({ ...gone, channel: "general" });
  await settle();
  expect(removed).toHaveBeenCalledExactlyOnceWith({ channel: "general", reason: "permission_denied" });
  made.edge.refuse = () => "silence";
  const joining = watch(made.client.join("ops"));
  await settle();
  made.edge.socket.say({ ...gone, data: { ...gone.data, channel: "ops" } });
  await settle();
  expect(joining.error).toMatchObject({ errorType: "permission_denied" });
});

test("after the server ended it for good, connect() goes on with the channels", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  made.edge.disconnect({ code: 4000, reconnect: false, reason: "API key revoked" });
  await settle();
  made.edge.publish("general", { content: "missed" });
  watch(made.client.connect());
  await settle();
  expect(contents(made.messages)).toEqual(["missed"]);
});
