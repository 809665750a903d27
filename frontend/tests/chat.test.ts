import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Chat, PAGE } from "$lib/chat/chat.svelte";
import type { Conversation } from "$lib/chat/conversation.svelte";
import type { FakeEdge } from "../packages/tidewire-client/tests/fake_edge";
import { pass, scene, settle, withClock } from "./page";

withClock();

let edge: FakeEdge;
let chat: Chat;

beforeEach(async () => {
  const made = scene();
  await made.connect({ acks: "manual" });
  if (!made.store.client) throw new Error("not connected");
  edge = made.edge;
  chat = new Chat(made.store.client);
});

afterEach(() => {
  chat.end();
});

async function opened(channel: string): Promise<Conversation> {
  await Promise.all([chat.open(channel), pass(10)]);
  const conversation = chat.find(channel);
  if (!conversation) throw new Error(`${channel} is not open: ${chat.problem}`);
  return conversation;
}

const texts = (conversation: Conversation): string[] => conversation.entries.map((entry) => entry.text);

describe("channels", () => {
  test("what was there before is shown, and is not unread", async () => {
    for (const content of ["one", "two"]) edge.publish("general", { content });
    const general = await opened("general");
    expect(texts(general)).toEqual(["one", "two"]);
    expect(general.unread).toBe(0);
    expect(chat.selected).toBe(general);
  });

  test("what others write is unread until it is seen, and acknowledged then", async () => {
    const general = await opened("general");
    edge.publish("general", { content: "new" });
    await settle();
    expect(general.unread).toBe(1);
    chat.see();
    await pass(500);
    expect(general.unread).toBe(0);
    expect(edge.acks.at(-1)).toMatchObject({ channel: "general", offset: 1 });
  });

  test("a channel that is not allowed is said, and is not in the list", async () => {
    edge.forbidden.add("secret");
    await Promise.all([chat.open("secret"), pass(10)]);
    expect(chat.find("secret")).toBeUndefined();
    expect(chat.problem).toContain("#secret");
  });

  test("a channel that was left is gone, and another is shown", async () => {
    const [general, other] = [await opened("general"), await opened("other")];
    await Promise.all([chat.leave(other), pass(10)]);
    expect(chat.conversations).toEqual([general]);
    expect(chat.selected).toBe(general);
  });

  test("a channel is opened once", async () => {
    const general = await opened("general");
    await opened("other");
    expect(await opened("general")).toBe(general);
    expect(chat.selected).toBe(general);
    expect(chat.conversations).toHaveLength(2);
  });
});

describe("sending", () => {
  test("a message is on its way, then stored, once", async () => {
    const general = await opened("general");
    const sent = chat.send(general, "Hello");
    expect(general.entries.map(({ text, delivery }) => [text, delivery])).toEqual([["Hello", "sending"]]);
    await Promise.all([sent, pass(10)]);
    expect(general.entries.map(({ text, delivery, offset }) => [text, delivery, offset])).toEqual([
      ["Hello", "stored", 1],
    ]);
    expect(general.unread).toBe(0);
  });

  test("what was refused says why, and can be sent again or discarded", async () => {
    const general = await opened("general");
    edge.refuse = ({ type }) =>
      type === "chat_message" ? { message: "Too large", error_type: "message_error", code: 413 } : undefined;
    await Promise.all([chat.send(general, "Hello"), pass(10)]);
    const [entry] = general.entries;
    if (!entry) throw new Error("the message is gone");
    expect([entry.delivery, entry.problem]).toEqual(["refused", "Too large"]);
    edge.refuse = () => undefined;
    await Promise.all([chat.again(general, entry), pass(10)]);
    expect(general.entries.map(({ delivery }) => delivery)).toEqual(["stored"]);
  });

  test("without a connection it waits, and is in its place at last", async () => {
    const general = await opened("general");
    edge.away = true;
    edge.socket.end(1006);
    await settle();
    const sent = chat.send(general, "later");
    edge.publish("general", { content: "meanwhile" });
    edge.away = false;
    await Promise.all([sent, pass(5_000)]);
    expect(texts(general)).toEqual(["meanwhile", "later"]);
    expect(general.unread).toBe(1);
  });
});

test("older messages are read when somebody wants them, up to the beginning", async () => {
  for (let number = 1; number <= 3 * PAGE; number++) edge.publish("general", { content: `m${number}` });
  const general = await opened("general");
  expect(general.oldest).toBe(2 * PAGE + 1);
  expect(general.complete).toBe(false);
  await Promise.all([chat.readOlder(general), pass(10)]);
  expect(general.oldest).toBe(PAGE + 1);
  await Promise.all([chat.readOlder(general), pass(10)]);
  expect([general.oldest, general.complete]).toEqual([1, true]);
  expect(texts(general)).toEqual(Array.from({ length: 3 * PAGE }, (_, index) => `m${index + 1}`));
});

test("what was not for a channel is kept as a note", async () => {
  edge.publish("*", { content: "to all" });
  edge.socket.say(edge.publish("@alice", { content: "to alice" }, { type: "direct_message" }));
  await settle();
  expect(chat.notes.map(({ channel }) => channel)).toContain("@alice");
});
