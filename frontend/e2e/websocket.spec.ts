import { test } from "@playwright/test";
import { KEYS, WebSocketHelper } from "./test-helpers/websocket";

const workspace = (): string => `spec-${Date.now()}`;

test("a good key is authenticated, and stays so through joins, messages and a broken connection", async ({ page }) => {
  const alice = new WebSocketHelper(page);
  await alice.open("alice", { workspace: workspace() });
  await alice.authenticate();
  await alice.joinChannel("general");
  await alice.sendMessage("Hello");
  await alice.expectMessages("Hello");
  await alice.expectDelivery("stored");
  await alice.breakConnection();
  await alice.sendMessage("Still here");
  await alice.expectMessages("Hello", "Still here");
  await alice.expectDelivery("stored");
  await alice.leaveChannel();
  await alice.expectStatus("Connected", "Authenticated");
  await alice.cleanup();
});

test("an expired key is refused", async ({ page }) => {
  const alice = new WebSocketHelper(page);
  await alice.open("alice", { workspace: workspace() });
  await alice.connect(KEYS.expired);
  await alice.expectStatus("Error", "Not Authenticated");
  await alice.expectError("Token expired", "token_expired");
  await alice.cleanup();
});

test("messages go from one page to another", async ({ browser, page }) => {
  const context = await browser.newContext();
  const [alice, bob] = [new WebSocketHelper(page), new WebSocketHelper(await context.newPage())];
  const where = { workspace: workspace() };
  await alice.open("alice", where);
  await bob.open("bob", where);
  await alice.authenticate();
  await bob.authenticate();
  await alice.sendMessage("Hello, bob");
  await bob.expectMessages("Hello, bob");
  await alice.expectDelivery("seen by 1");
  await context.close();
});
