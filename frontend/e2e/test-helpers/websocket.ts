// The steps of end-to-end tests, for users of Playwright. They talk to the real services, through the page.

import { expect, type Locator, type Page } from "@playwright/test";

/** The words of `connection-status`. */
export type ConnectionStatus = "Connecting" | "Connected" | "Reconnecting" | "Error" | "Disconnected";
/** The words of `auth-status`. */
export type AuthStatus = "Authenticated" | "Not Authenticated";

/** The keys that development mode knows by name. */
export const KEYS = { development: "development", valid: "valid-test-key", expired: "expired-test-key" } as const;

/** Somebody who uses the page. */
export class WebSocketHelper {
  constructor(readonly page: Page) {}

  /** Open the page as somebody, in a workspace. Nothing is connected yet. */
  async open(name: string, { workspace = "personal", channel = "lobby" } = {}): Promise<void> {
    const query = new URLSearchParams({ name, workspace, channel });
    await this.page.goto(`/?${query.toString()}`);
    await this.expectStatus("Disconnected", "Not Authenticated");
  }

  /** Connect with a key, without waiting for what becomes of it. */
  async connect(apiKey: string = KEYS.valid): Promise<void> {
    const known = Object.values<string>(KEYS).includes(apiKey);
    await this.#at("key-choice").selectOption(known ? apiKey : "own");
    if (!known) await this.#at("own-key").fill(apiKey);
    await this.#at("connect").click();
  }

  /** Connect with a key, and return when it is authenticated and in its channel. */
  async authenticate(apiKey?: string): Promise<void> {
    await this.connect(apiKey);
    await this.expectStatus("Connected", "Authenticated");
    await expect(this.#at("member-count")).not.toHaveText("0 here");
  }

  /** End the connection: everything is as at first. */
  async cleanup(): Promise<void> {
    await this.#at("sign-out").click();
    await this.expectStatus("Disconnected", "Not Authenticated");
  }

  /** Break the connection; the page comes back by itself. */
  async breakConnection(): Promise<void> {
    await this.#at("break").click();
  }

  /** Join a channel, and show it. */
  async joinChannel(channel: string): Promise<void> {
    await this.#at("channel-name").fill(channel);
    await this.#at("join").click();
    await expect(this.#at("conversation-title")).toContainText(channel);
    await expect(this.#at("member-count")).not.toHaveText("0 here");
  }

  /** Leave the channel that is shown. */
  async leaveChannel(): Promise<void> {
    await this.#at("leave").click();
  }

  /** Send a message to the channel that is shown. */
  async sendMessage(text: string): Promise<void> {
    await this.#at("message-input").fill(text);
    await this.#at("send").click();
  }

  /** Wait until exactly these messages are shown, in this order. */
  async expectMessages(...texts: string[]): Promise<void> {
    await expect(this.#at("text")).toHaveText(texts);
  }

  /** Wait until the newest message of our own has come so far: `sending`, `stored`, `seen by 2`. */
  async expectDelivery(words: string): Promise<void> {
    await expect(this.#at("delivery").last()).toHaveText(words);
  }

  /** Wait for both parts of the status. */
  async expectStatus(connection: ConnectionStatus, auth: AuthStatus): Promise<void> {
    await expect(this.#at("connection-status")).toHaveText(connection);
    await expect(this.#at("auth-status")).toHaveText(auth);
  }

  /** Wait for an error, by its message and a part of its details. */
  async expectError(message: string, details = ""): Promise<void> {
    await expect(this.#at("error-message")).toHaveText(message);
    await expect(this.#at("error-details")).toContainText(details);
  }

  #at(testId: string): Locator {
    return this.page.getByTestId(testId);
  }
}
