// One message as the page shows it, from the moment it is sent.

import type { Message } from "tidewire-client";

/** How far a message has come. */
export type DeliveryState = "sending" | "stored" | "refused";

export class Entry {
  readonly id: string;
  readonly author: string;
  readonly text: string;
  /** Milliseconds since the Unix epoch. */
  time = $state(0);
  /** Its place in the channel; 0: none yet. */
  offset = $state(0);
  delivery = $state<DeliveryState>("sending");
  /** How many others have acknowledged it; undefined: not asked yet. */
  seenBy = $state<number>();
  /** Why it was refused. */
  problem = $state("");

  constructor(id: string, author: string, text: string, time: number) {
    this.id = id;
    this.author = author;
    this.text = text;
    this.time = time;
  }

  /** Make the entry of a stored message. */
  static of(message: Message): Entry {
    const entry = new Entry(message.id, message.client_id, textOf(message), Date.parse(message.timestamp));
    entry.stored(message.offset);
    return entry;
  }

  /** It has its place. */
  stored(offset: number): void {
    this.offset = offset;
    this.delivery = "stored";
  }

  /** The server does not want it. */
  refused(problem: string): void {
    this.delivery = "refused";
    this.problem = problem;
  }
}

/** Return what people read of a message: its content, or, of machines' messages, the JSON. */
function textOf({ type, data }: Message): string {
  if (typeof data.content === "string") return data.content;
  return `${type} ${JSON.stringify(data.content ?? data)}`;
}
