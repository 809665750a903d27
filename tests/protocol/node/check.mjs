// A client written from docs/protocol.md alone, on the library `ws`: goes through every frame of a client, both endpoints,
// and every close code that a client can bring about. Usage: node check.mjs ws://host:port API_KEY. Exit code 0: all held.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import WebSocket from "ws";

const [base, apiKey] = process.argv.slice(2);
const DEADLINE_MS = 10_000;
const workspace = `node-${randomUUID().slice(0, 8)}`;

class Client {
  constructor(path) {
    this.frames = [];
    this.waiting = [];
    this.socket = new WebSocket(base + path);
    this.closed = new Promise((resolve) => this.socket.on("close", (code) => resolve(code)));
    this.socket.on("message", (bytes, binary) => {
      assert.equal(binary, false, "the server sends text only");
      this.frames.push(JSON.parse(bytes.toString("utf8")));
      this.waiting.splice(0).forEach((wake) => wake());
    });
    this.socket.on("close", () => this.waiting.splice(0).forEach((wake) => wake()));
  }

  send(type, data, more = {}) {
    const id = randomUUID();
    this.socket.send(JSON.stringify({ type, id, data, ...more }));
    return id;
  }

  // Returns the first frame that fits; frames before it stay.
  async take(type, id) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const place = this.frames.findIndex((f) => f.type === type && (id === undefined || f.id === id));
      if (place >= 0) return this.frames.splice(place, 1)[0];
      assert.ok(Date.now() < deadline, `no ${type} within ${DEADLINE_MS} ms; got ${JSON.stringify(this.frames)}`);
      await new Promise((resolve) => {
        this.waiting.push(resolve);
        setTimeout(resolve, 200).unref();
      });
    }
  }

  async connect(data = {}) {
    await this.take("connection_established");
    const id = this.send("connect", {
      api_key: apiKey, connection_type: "chat", domain: "tests", workspace, ...data,
    });
    const success = await this.take("connection_success", id);
    assert.equal(success.data.message, "Connected");
    const delivered = await this.take("message_delivered", id);
    assert.equal(delivered.data.message, "Authentication message received and processed");
    assert.equal(delivered.data.original_type, "connect");
    return this;
  }

  async join(channel, more = {}) {
    const id = this.send("join_channel", { channel, ...more });
    await this.take("message_delivered", id);
    const joined = await this.take("subscription_success", id);
    assert.equal(joined.data.message, "Successfully joined channel");
    return joined;
  }

  async expectError(type, code, id) {
    const frame = await this.take("error", id);
    assert.deepEqual([frame.data.error_type, frame.data.code], [type, code]);
    return frame;
  }

  async expectEnd(code, reconnect) {
    const frame = await this.take("disconnect");
    assert.deepEqual([frame.data.code, frame.data.reconnect], [code, reconnect]);
    assert.equal(await this.closed, code);
  }
}

const open = (endpoint, name = "a") => new Client(`${endpoint}client_${name}-${randomUUID().slice(0, 8)}`);

async function frames(endpoint) {
  const channel = `room-${randomUUID().slice(0, 8)}`;
  const alice = await open(endpoint).connect();
  const bob = await open(endpoint).connect();
  const joined = await alice.join(channel, { presence: true });
  await bob.join(channel);
  assert.equal((await alice.take("presence_update")).data.event, "join");
  let offset = joined.data.offset;
  for (const type of ["chat_message", "channel_message", "task_update", "agent_status", "graph_update"]) {
    const data = { content: `by ${type}`, nested: { list: [1, 2.5, null, "ü"] } };
    const id = alice.send(type, data, { channel });
    const confirmed = await alice.take("message_delivered", id);
    offset += 1;
    assert.deepEqual([confirmed.data.offset, confirmed.data.epoch, confirmed.data.id], [offset, joined.data.epoch, id]);
    for (const member of [alice, bob]) {
      const heard = await member.take(type);
      assert.deepEqual([heard.id, heard.offset, heard.channel], [id, offset, channel]);
      assert.deepEqual(heard.data, data);
    }
  }
  bob.send("ack", { channel, epoch: joined.data.epoch, offset });
  const history = await alice.take("history", alice.send("history", { channel, since: { offset: 0 } }));
  assert.deepEqual(history.data.messages.map((m) => m.offset), [1, 2, 3, 4, 5]);
  const presence = await alice.take("presence", alice.send("presence", { channel }));
  assert.equal(presence.data.members.length, 2);
  const receipt = await alice.take("receipt", alice.send("receipt", { channel, offset }));
  assert.equal(receipt.data.written, 2);
  const everybody = alice.send("broadcast", { to: "all" });
  await alice.take("message_delivered", everybody);
  assert.equal((await bob.take("broadcast")).data.to, "all");
  const bobId = (await bob.take("pong", bob.send("ping", { n: 1 }))).client_id;
  const direct = alice.send("direct_message", { to: bobId, text: "hi" });
  await alice.take("message_delivered", direct);
  assert.equal((await bob.take("direct_message")).data.text, "hi");
  const left = bob.send("leave_channel", { channel });
  await bob.take("message_delivered", left);
  await bob.take("unsubscription_success", left);
  alice.send("disconnect");
  await alice.expectEnd(1000, false);
  const resumed = open(endpoint, "r");
  await resumed.connect({ resume: [{ channel, epoch: joined.data.epoch, offset: 3 }] });
  const subscribed = await resumed.take("subscription_success");
  assert.equal(subscribed.data.recovered, true);
  assert.equal((await resumed.take("agent_status")).offset, 4);
  assert.equal((await resumed.take("graph_update")).offset, 5);
  bob.socket.close();
  resumed.socket.close();
}

async function errors(endpoint) {
  const client = await open(endpoint).connect();
  await client.expectError("channel_error", 400, client.send("join_channel", { channel: "no good" }));
  await client.expectError("channel_error", 404, client.send("leave_channel", { channel: "not-joined" }));
  await client.expectError("invalid_format", 400, client.send("history", { channel: 5 }));
  await client.join("twice");
  await client.expectError("channel_error", 409, client.send("join_channel", { channel: "twice" }));
  await client.expectError("message_error", 400, client.send("chat_message", {}, { channel: "twice" }));
  await client.expectError("message_error", 413, client.send("task_update", { x: "x".repeat(62_000) }, { channel: "twice" }));
  if (endpoint === "/") {
    await client.expectError("unknown_type", 400, client.send("made_up", {}));
  } else {
    const id = client.send("made_up", { n: 1 });
    assert.deepEqual((await client.take("made_up", id)).data, { n: 1 });
    await client.take("message_delivered", id);
  }
  await client.expectError("already_authenticated", 409, client.send("connect", { api_key: apiKey }));
  await client.expectEnd(4003, false);
}

async function ends(endpoint) {
  const refused = async (send, errorType, code, closeCode) => {
    const client = open(endpoint);
    await client.take("connection_established");
    send(client);
    if (errorType !== null) await client.expectError(errorType, code);
    await client.expectEnd(closeCode, false);
  };
  const connect = (key) => (client) =>
    client.send("connect", { api_key: key, connection_type: "chat", domain: "tests", workspace });
  await refused(connect("wrong"), "invalid_key", 403, 4000);
  await refused(connect("expired-test-key"), "token_expired", 403, 4000);
  await refused((client) => client.send("ping", {}), "not_authenticated", 401, 4003);
  await refused((client) => client.socket.send("no JSON"), "invalid_format", 400, 4002);
  await refused((client) => client.socket.send("[]"), "invalid_format", 400, 4002);
  await refused((client) => client.socket.send(Buffer.from("{}")), "invalid_format", 400, 4002);
  await refused((client) => client.socket.send(JSON.stringify({ type: "ping", data: "x".repeat(70_000) })), null, 0, 1009);
}

for (const endpoint of ["/", "/debug/"]) {
  for (const part of [frames, errors, ends]) {
    await part(endpoint);
    console.log(`${endpoint}: ${part.name} hold`);
  }
}
process.exit(0);
