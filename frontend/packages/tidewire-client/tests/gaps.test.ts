// Gaps and duplicates: what should not happen, healed with `history`, or told.

import { expect, test } from "vitest";
import { connected, contents, reconnect, settle, withClock, type Scene } from "./clients.js";

withClock();

/** A member of `general`, where some messages of the server get lost on their way. */
async function leaky(): Promise<Scene & { lose: (...offsets: number[]) => void }> {
  const made = await connected();
  await Promise.all([made.client.join("general"), settle()]);
  const lost = new Set<number>();
  const { socket } = made.edge;
  const say = socket.say.bind(socket);
  socket.say = (frame) => {
    const { offset, type } = frame as { offset?: number; type: string };
    if (type !== "chat_message" || !lost.has(offset ?? 0)) say(frame);
  };
  return { ...made, lose: (...offsets) => offsets.forEach((offset) => lost.add(offset)) };
}

test("a gap is healed with history, in order, and nothing comes twice", async () => {
  const made = await leaky();
  made.lose(2, 3);
  for (const content of [1, 2, 3, 4, 5]) made.edge.publish("general", { content });
  await settle();
  expect(contents(made.messages)).toEqual([1, 2, 3, 4, 5]);
  expect(made.edge.socket.ofType("history").at(-1)?.data).toEqual({
    channel: "general",
    since: { epoch: "e1", offset: 1 },
    limit: 500,
  });
  expect(made.lost).toEqual([]);
});

test("a wide gap is healed page by page", async () => {
  const made = await leaky();
  made.lose(...Array(1_200).keys());
  for (let content = 1; content <= 1_201; content++) made.edge.publish("general", { content });
  await settle();
  expect(contents(made.messages)).toEqual([...Array(1_201).keys()].map((n) => n + 1));
  expect(made.edge.socket.ofType("history").filter(({ data }) => data.channel === "general")).toHaveLength(3);
});

test("what waits for a gap is bounded; the rest is the next gap", async () => {
  const made = await leaky();
  made.lose(1);
  made.edge.refuse = ({ type }) => (type === "history" ? "silence" : undefined);
  for (let content = 1; content <= 1_500; content++) made.edge.publish("general", { content });
  await settle();
  expect(made.messages).toEqual([]);
  made.edge.refuse = () => undefined;
  const asked = made.edge.socket.ofType("history").at(-1);
  if (asked) made.edge.receive(made.edge.socket, asked);
  await settle();
  made.edge.publish("general", { content: 1_501 });
  await settle();
  expect(contents(made.messages)).toEqual([...Array(1_501).keys()].map((n) => n + 1));
});

test("duplicates are dropped", async () => {
  const made = await leaky();
  const first = made.edge.publish("general", { content: 1 });
  made.edge.publish("general", { content: 2 });
  made.edge.socket.say(first);
  await settle();
  expect(contents(made.messages)).toEqual([1, 2]);
});

test("a gap that cannot be healed is told, and delivery goes on", async () => {
  const made = await leaky();
  made.lose(2);
  made.edge.refuse = ({ type }) =>
    type === "history" ? { message: "no", error_type: "permission_denied", code: 403 } : undefined;
  for (const content of [1, 2, 3, 4]) made.edge.publish("general", { content });
  await settle();
  expect(contents(made.messages)).toEqual([1, 3, 4]);
  expect(made.lost).toEqual([{ channel: "general", reason: "permission_denied" }]);
});

test("a gap whose messages are no longer kept is told", async () => {
  const made = await leaky();
  made.lose(2, 3);
  made.edge.publish("general", { content: 1 });
  await settle();
  for (const content of [2, 3]) made.edge.publish("general", { content });
  const room = made.edge.room("general");
  room.stored.splice(0, 2);
  room.low = 2;
  made.edge.publish("general", { content: 4 });
  await settle();
  expect(contents(made.messages)).toEqual([1, 3, 4]);
  expect(made.lost).toEqual([{ channel: "general", reason: "history_expired" }]);
});

test("a new life of the channel that was not announced is asked about", async () => {
  const made = await leaky();
  made.edge.publish("general", { content: 1 });
  await settle();
  made.edge.room("general").epoch = "e2"; // which has the part before in common
  made.edge.publish("general", { content: 2 });
  made.edge.publish("general", { content: 3 });
  await settle();
  expect(contents(made.messages)).toEqual([1, 2, 3]);
  expect(made.client.position("general")).toEqual({ epoch: "e2", offset: 3 });
});

test("a connection that breaks while a gap is healed is joined again before it", async () => {
  const made = await leaky();
  made.lose(2);
  made.edge.refuse = ({ type }) => (type === "history" ? "silence" : undefined);
  for (const content of [1, 2, 3]) made.edge.publish("general", { content });
  await settle();
  expect(contents(made.messages)).toEqual([1]);
  made.edge.refuse = () => undefined;
  await reconnect(made);
  expect(contents(made.messages)).toEqual([1, 2, 3]);
  made.edge.publish("general", { content: 4 });
  await settle();
  expect(contents(made.messages)).toEqual([1, 2, 3, 4]);
});

test("who leaves while a gap is healed hears nothing more", async () => {
  const made = await leaky();
  made.lose(1);
  made.client.on("message", () => void made.client.leave("general"));
  for (const content of [1, 2, 3]) made.edge.publish("general", { content });
  await settle();
  expect(contents(made.messages)).toEqual([1]);
});
