// The conversations of one client: joins and leaves channels, sends, and gives what comes to the conversation it is for.

import type { Message, Position, TidewireClient } from "tidewire-client";
import { TidewireError } from "tidewire-client";
import { Conversation } from "./conversation.svelte";
import { Entry } from "./entry.svelte";
import { pollReceipts } from "./receipts";

/** Messages that are read at once, at first and when somebody scrolls up. */
export const PAGE = 40;

export class Chat {
  readonly client: TidewireClient;
  conversations = $state.raw<Conversation[]>([]);
  selected = $state.raw<Conversation>();
  /** Broadcasts and direct messages, newest last. */
  notes = $state.raw<Message[]>([]);
  /** What went wrong last with a channel. */
  problem = $state("");
  #authenticated = false;
  readonly #ends: (() => void)[];

  constructor(client: TidewireClient) {
    this.client = client;
    this.#ends = [
      client.on("message", (message) => this.#received(message)),
      client.on("presence", (update) => this.find(update.channel)?.moved(update)),
      client.on("lost", ({ channel, reason }) => this.#lost(channel, reason)),
      client.on("removed", ({ channel, reason }) => this.#removed(channel, reason)),
      client.on("status", ({ authenticated }) => {
        const back = authenticated && !this.#authenticated;
        this.#authenticated = authenticated;
        if (back) for (const conversation of this.conversations) void this.#readMembers(conversation);
      }),
      pollReceipts(this),
    ];
  }

  /** Forget everything. */
  end(): void {
    for (const end of this.#ends) end();
  }

  find(channel: string): Conversation | undefined {
    return this.conversations.find((conversation) => conversation.channel === channel);
  }

  /** Open a channel: join it if need be, and show it. */
  async open(channel: string, title = channel, threadId?: string): Promise<void> {
    this.problem = "";
    const known = this.find(channel);
    if (known) {
      this.select(known);
      return;
    }
    const conversation = new Conversation(channel, title, this.client.clientId, threadId);
    this.conversations = [...this.conversations, conversation];
    this.select(conversation);
    try {
      conversation.began(await this.client.join(channel, { history: PAGE, presence: true }));
      await this.#readMembers(conversation);
    } catch (error) {
      this.#forget(conversation);
      this.#complain(`#${channel}`, error);
    }
  }

  /** Leave a channel. */
  async leave(conversation: Conversation): Promise<void> {
    this.#forget(conversation);
    try {
      await this.client.leave(conversation.channel);
    } catch (error) {
      this.#complain(`#${conversation.channel}`, error);
    }
  }

  select(conversation: Conversation | undefined): void {
    this.selected = conversation;
  }

  /** Send a text to a conversation; without a connection it is sent later. */
  async send(conversation: Conversation, text: string): Promise<void> {
    const entry = new Entry(
      crypto.getRandomValues(new Uint32Array(3)).join("-"),
      this.client.clientId,
      text,
      Date.now(),
    );
    conversation.sending(entry);
    await this.#publish(conversation, entry);
  }

  /** Send a refused message again, under the same id. */
  async again(conversation: Conversation, entry: Entry): Promise<void> {
    entry.delivery = "sending";
    await this.#publish(conversation, entry);
  }

  /** Read what came before the oldest message here. */
  async readOlder(conversation: Conversation): Promise<void> {
    const { oldest, epoch, channel } = conversation;
    if (conversation.loading || conversation.complete || !oldest) return;
    conversation.loading = true;
    try {
      const offset = Math.max(0, oldest - 1 - PAGE);
      const since: Position = { epoch, offset };
      const page = await this.client.history(channel, { since, limit: PAGE });
      conversation.prepend(page.messages);
      // What retention has removed comes no more: then the page begins where we are.
      conversation.complete = offset === 0 || conversation.oldest === oldest;
    } catch (error) {
      this.#complain("History", error);
    } finally {
      conversation.loading = false;
    }
  }

  /** The selected conversation is being looked at: everything in it counts as seen, here and by those who wrote it. */
  see(): void {
    if (!this.selected?.joined) return;
    this.selected.seen();
    this.client.ack(this.selected.channel);
  }

  async #publish(conversation: Conversation, entry: Entry): Promise<void> {
    const { channel, threadId } = conversation;
    const data = { content: entry.text, ...(threadId !== undefined && { thread_id: threadId }) };
    try {
      entry.stored((await this.client.publish(channel, data, { id: entry.id })).offset);
    } catch (error) {
      entry.refused(wordsOf(error));
    }
  }

  #received(message: Message): void {
    const conversation = this.find(message.channel);
    if (conversation) conversation.receive(message);
    else this.notes = [...this.notes.slice(-19), message];
  }

  async #readMembers(conversation: Conversation): Promise<void> {
    if (!conversation.joined) return;
    try {
      conversation.members = await this.client.presence(conversation.channel);
    } catch {
      // The connection broke again, or the key may not see them: the list stays as it is until the next connection.
    }
  }

  #lost(channel: string, reason: string): void {
    const conversation = this.find(channel);
    if (conversation) conversation.notice = `Some messages can no longer be had (${reason}).`;
  }

  #removed(channel: string, reason: string): void {
    const conversation = this.find(channel);
    if (conversation) this.#forget(conversation);
    this.problem = `#${channel}: ${reason}`;
  }

  #forget(conversation: Conversation): void {
    this.conversations = this.conversations.filter((one) => one !== conversation);
    if (this.selected === conversation) this.select(this.conversations[0]);
  }

  #complain(what: string, error: unknown): void {
    if (error instanceof TidewireError && error.errorType === "cancelled") return;
    this.problem = `${what}: ${wordsOf(error)}`;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
