// What a join brings of the past, and what is told of what is gone.

import { expect, test } from "vitest";
import { connected, contents, pass, reconnect, settle, watch, withClock } from "./clients.js";

withClock();

test("history of a join may begin anywhere, and is not asked for twice", async () => {
  const made = await connected();
  for (const content of [1, 2, 3, 4, 5]) made.edge.publish("general", { content });
  await Promise.all([made.client.join("general", { history: 3 }), settle()]);
  expect(contents(made.messages)).toEqual([3, 4, 5]);
  made.edge.publish("general", { content: 6 });
  await settle();
  await reconnect(made);
  expect(contents(made.messages)).toEqual([3, 4, 5, 6]);
});

test("when the asked past holds nothing, what comes later is not taken for it", async () => {
  const made = await connected();
  made.edge.room("general").low = 7; // seven messages, none of them kept
  await Promise.all([made.client.join("general", { recover: "last_acked" }), settle()]);
  expect(made.client.position("general")).toEqual({ epoch: "e1", offset: 7 });
  made.edge.socket.end(1006);
  await settle();
  made.edge.publish("general", { content: 8 });
  await pass(500);
  expect(contents(made.messages)).toEqual([8]);
});

test("what is gone is told, and what is kept is delivered", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  made.edge.publish("general", { content: 1 });
  await settle();
  made.edge.socket.end(1006);
  await settle();
  for (const content of [2, 3, 4]) made.edge.publish("general", { content });
  const room = made.edge.room("general");
  room.stored.splice(0, 2);
  room.low = 2;
  await pass(500);
  expect(contents(made.messages)).toEqual([1, 3, 4]);
  expect(made.lost).toEqual([{ channel: "general", reason: "history_expired" }]);
  made.edge.socket.end(1006);
  await settle();
  made.edge.rooms.set("general", { epoch: "e2", low: 0, stored: [] });
  made.edge.publish("general", { content: "anew" });
  await pass(500);
  expect(contents(made.messages)).toEqual([1, 3, 4, "anew"]);
  expect(made.lost[1]).toEqual({ channel: "general", reason: "epoch_changed" });
});

test("a position of an older life that this one shares goes on in it", async () => {
  const made = await connected();
  watch(made.client.join("general", { recover: { epoch: "e0", offset: 4 } }));
  made.edge.refuse = ({ type }) => (type === "join_channel" ? "silence" : undefined);
  await settle();
  const id = made.edge.socket.ofType("join_channel")[0]?.id;
  made.edge.socket.say({
    type: "subscription_success",
    id,
    data: { channel: "general", status: "success", message: "", epoch: "e1", offset: 6, recovered: true },
  });
  made.edge.publish("general", {}); // room for the rest
  for (const offset of [5, 6])
    made.edge.socket.say({
      type: "chat_message",
      id: `${offset}`,
      channel: "general",
      client_id: "bob",
      timestamp: "",
      epoch: "e1",
      offset,
      data: { content: offset },
    });
  await settle();
  expect(contents(made.messages)).toEqual([5, 6]);
  expect(made.lost).toEqual([]);
});

test("a loss that the server tells unasked is told, and delivery goes on from there", async () => {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  for (const channel of ["general", "*"]) {
    made.edge.socket.say({
      type: "subscription_success",
      channel,
      data: {
        channel,
        status: "success",
        message: "",
        epoch: "e2",
        offset: 50,
        recovered: false,
        reason: "epoch_changed",
      },
    });
    made.edge.socket.say({ ...made.edge.publish("elsewhere", { content: channel }), channel, epoch: "e2", offset: 51 });
  }
  await settle();
  expect(made.lost).toEqual([
    { channel: "general", reason: "epoch_changed" },
    { channel: "*", reason: "epoch_changed" },
  ]);
  expect(contents(made.messages)).toEqual(["general", "*"]);
});
