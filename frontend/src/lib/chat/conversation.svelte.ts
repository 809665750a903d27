// What the page knows of one channel: its messages in order, who is there, and how many were not seen.

import type { Message, PresenceMember, PresenceUpdateData } from "tidewire-client";
import { Entry } from "./entry.svelte";

/** Messages that are kept; older ones are read again when somebody scrolls to them. */
const MOST_KEPT = 600;

export class Conversation {
  readonly channel: string;
  readonly threadId: string | undefined;
  title = $state("");
  joined = $state(false);
  members = $state.raw<PresenceMember[]>([]);
  /** Whether the oldest message that the server keeps is here. */
  complete = $state(false);
  loading = $state(false);
  /** What the reader must know, e.g. that messages are gone. */
  notice = $state("");
  epoch = "";
  #stored = $state.raw<Entry[]>([]);
  #unsent = $state.raw<Entry[]>([]);
  readonly #own: string;
  /** What is not newer than this was seen, or was there before us. */
  #seenTo = $state(0);

  /**
   * @param channel Its name.
   * @param title For people.
   * @param own Who we are.
   * @param threadId Of a thread.
   */
  constructor(channel: string, title: string, own: string, threadId?: string) {
    this.channel = channel;
    this.title = title;
    this.#own = own;
    this.threadId = threadId;
  }

  /** How many messages of others were not seen. */
  get unread(): number {
    if (!this.joined) return 0;
    return this.#stored.filter((entry) => entry.offset > this.#seenTo && entry.author !== this.#own).length;
  }

  /** The messages: stored ones in their order, then those on their way. */
  get entries(): Entry[] {
    return [...this.#stored, ...this.#unsent];
  }

  /** The offset of the oldest message here; 0: there is none. */
  get oldest(): number {
    return this.#stored[0]?.offset ?? 0;
  }

  /** Our newest messages that are stored, newest first. */
  newestOwn(count: number): Entry[] {
    return this.#stored
      .filter((entry) => entry.author === this.#own)
      .slice(-count)
      .reverse();
  }

  /** We are in the channel since a position: what came before is not new. */
  began({ epoch, offset }: { epoch: string; offset: number }): void {
    this.joined = true;
    this.#restart(epoch);
    this.#seenTo = Math.max(this.#seenTo, offset);
    if (offset === 0) this.complete = true;
  }

  /** A message has come. */
  receive(message: Message): void {
    this.#restart(message.epoch);
    const own = message.client_id === this.#own;
    const waiting = this.#unsent.find((entry) => own && entry.id === message.id);
    if (waiting) {
      waiting.stored(message.offset);
      waiting.time = Date.parse(message.timestamp);
      this.#unsent = this.#unsent.filter((entry) => entry !== waiting);
    }
    this.#insert([waiting ?? Entry.of(message)]);
    if (message.offset === 1) this.complete = true;
    this.#trim();
  }

  /** A message goes out. */
  sending(entry: Entry): void {
    this.#unsent = [...this.#unsent, entry];
  }

  /** A message that was refused is not wanted any more. */
  withdraw(entry: Entry): void {
    this.#unsent = this.#unsent.filter((other) => other !== entry);
  }

  /** Older messages were read. */
  prepend(messages: Message[]): void {
    const { oldest } = this;
    this.#insert(messages.filter((message) => message.offset < oldest).map((message) => Entry.of(message)));
  }

  /** Everything here was seen. */
  seen(): void {
    this.#seenTo = this.#stored.at(-1)?.offset ?? this.#seenTo;
  }

  /** Somebody came or went. */
  moved({ event, member }: PresenceUpdateData): void {
    const others = this.members.filter((one) => one.client_id !== member.client_id);
    this.members = event === "leave" ? others : [...others, member];
  }

  /** Offsets of another life of the channel say nothing of those before. */
  #restart(epoch: string): void {
    if (this.epoch && this.epoch !== epoch) {
      this.#stored = [];
      this.#seenTo = 0;
      this.complete = false;
    }
    this.epoch = epoch;
  }

  #insert(entries: Entry[]): void {
    const fresh = entries.filter((entry) => !this.#stored.some((known) => known.offset === entry.offset));
    if (!fresh.length) return;
    this.#stored = [...this.#stored, ...fresh].sort((one, other) => one.offset - other.offset);
  }

  #trim(): void {
    if (this.#stored.length <= MOST_KEPT) return;
    this.#stored = this.#stored.slice(-MOST_KEPT);
    this.complete = false;
  }
}
