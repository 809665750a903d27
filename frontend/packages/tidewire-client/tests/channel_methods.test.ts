// A channel's own methods.

import { expect, test } from "vitest";
import { connected, pass, settle, watch, withClock } from "./clients.js";

withClock();

test("a channel's own methods", async () => {
  const made = await connected();
  const room = made.client.channel("general");
  const heard: unknown[] = [];
  const came: unknown[] = [];
  const end = room.onMessage(({ data }) => heard.push(data.content));
  room.onPresence(({ member }) => came.push(member.client_id));
  await Promise.all([room.join({ presence: true }), settle()]);
  await Promise.all([room.publish({ content: 1 }), made.client.broadcast({ content: "all" }), settle()]);
  for (const channel of ["general", "ops"]) {
    made.edge.socket.say({
      type: "presence_update",
      channel,
      data: { channel, event: "join", member: { client_id: `bob-${channel}`, connection_type: "chat", joined_at: "" } },
    });
  }
  const [page, members, receipt] = [watch(room.history()), watch(room.presence()), watch(room.receipt(1))];
  room.ack();
  await pass(200);
  end();
  made.edge.publish("general", { content: 2 });
  await settle();
  expect([heard, came]).toEqual([[1], ["bob-general"]]);
  expect(page.value?.messages).toHaveLength(1);
  expect([members.value, receipt.value]).toMatchObject([
    [],
    { channel: "general", offset: 1, written: 2, acknowledged: 1 },
  ]);
  expect(room.position?.offset).toBe(2);
  await Promise.all([room.leave(), settle()]);
  expect(room.position).toBeUndefined();
});
