// Messages on their way to the server: queued while offline, sent in order, each stored once, each confirmed or refused.
//
// The invariant: what is here has no answer yet. On every new connection it is sent again in the same order with the same
// `id`, which the server stores once; `timeoutMs` ends that before the server forgets the id.

import { byteLength } from "./codec.js";
import { deferred, type Deferred } from "./deferred.js";
import { TidewireError } from "./errors.js";
import type { MessageDeliveredFrame } from "./frames.js";
import type { Position } from "./tracker.js";

/** Unanswered messages at once: what a stalled network lets go at one blow stays under the server's burst. */
const WINDOW = 100;

/** Says that a message is stored, and where. */
export interface Delivery extends Position {
  id: string;
  channel: string;
}

interface Item {
  id: string;
  /** The channel whose membership it needs; undefined: none. */
  channel: string | undefined;
  text: string;
  size: number;
  expires: number;
  sent: boolean;
  done: Deferred<Delivery>;
}

/** What the queue needs of the world. */
export interface OutgoingPort {
  /** Send a text; only called between `connected` and `disconnected`. */
  send(text: string): void;
  /** Whether messages of a channel must wait, because it is not joined yet. */
  holds(channel: string): boolean;
}

export class Outgoing {
  readonly #items = new Map<string, Item>();
  #maxFrameBytes = 65_536;
  #inFlight = 0;
  #online = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly port: OutgoingPort,
    private readonly maxItems: number,
    private readonly timeoutMs: number,
  ) {}

  /** How many messages have no answer yet. */
  get size(): number {
    return this.#items.size;
  }

  /**
   * Take a message.
   *
   * @param id Its id, which is in the text.
   * @param text The frame; it is not looked at again, so later changes of its data do not matter.
   * @param channel The channel whose membership it needs.
   */
  async add(id: string, text: string, channel?: string): Promise<Delivery> {
    const size = byteLength(text);
    if (this.#items.has(id)) throw new TidewireError("invalid_argument", `Message ${id} is on its way already`, { id });
    if (size > this.#maxFrameBytes) throw this.#tooLarge(id, channel);
    if (this.#items.size >= this.maxItems) {
      throw new TidewireError("queue_full", `More than ${this.maxItems} messages wait`, { id, channel });
    }
    const expires = Date.now() + this.timeoutMs;
    const item: Item = { id, channel, text, size, expires, sent: false, done: deferred() };
    this.#items.set(id, item);
    this.#watch();
    this.pump();
    return item.done.promise;
  }

  /** Send whatever may be sent now. */
  pump(): void {
    if (!this.#online) return;
    this.#expire();
    for (const item of this.#items.values()) {
      if (this.#inFlight >= WINDOW) return;
      if (item.sent || (item.channel !== undefined && this.port.holds(item.channel))) continue;
      if (item.size > this.#maxFrameBytes) {
        this.#refuse(item, this.#tooLarge(item.id, item.channel));
        continue;
      }
      item.sent = true;
      this.#inFlight++;
      this.port.send(item.text);
    }
  }

  /** A connection is there; everything is to be sent on it. */
  connected(maxFrameBytes: number): void {
    this.#online = true;
    if (maxFrameBytes) this.#maxFrameBytes = maxFrameBytes;
    this.pump();
  }

  /** The connection is gone; nothing is known of what was sent. */
  disconnected(): void {
    this.#online = false;
    this.#inFlight = 0;
    for (const item of this.#items.values()) item.sent = false;
  }

  /** Take a confirmation; return whether it was for a message of these. */
  confirmed({ id, channel, epoch, offset }: MessageDeliveredFrame): boolean {
    const item = this.#items.get(id ?? "");
    if (!item) return false;
    this.#remove(item);
    item.done.resolve({ id: item.id, channel: channel ?? "", epoch: epoch ?? "", offset: Number(offset) });
    this.pump();
    return true;
  }

  /** Take an error; return whether it was for a message of these. One that came too fast is sent again. */
  refused(error: TidewireError): boolean {
    const item = this.#items.get(error.id ?? "");
    if (!item) return false;
    if (error.errorType === "rate_limited") {
      if (item.sent) this.#inFlight--;
      item.sent = false;
    } else {
      this.#refuse(item, error);
    }
    this.pump();
    return true;
  }

  /** Give everything up. */
  clear(error: TidewireError): void {
    for (const item of [...this.#items.values()]) this.#refuse(item, error);
  }

  #refuse(item: Item, error: TidewireError): void {
    this.#remove(item);
    item.done.reject(error);
  }

  #remove(item: Item): void {
    this.#items.delete(item.id);
    if (item.sent) this.#inFlight--;
    if (!this.#items.size) this.#watch();
  }

  #tooLarge(id: string, channel: string | undefined): TidewireError {
    const message = `Frame is larger than ${this.#maxFrameBytes} bytes`;
    return new TidewireError("message_error", message, { code: 413, id, channel });
  }

  /** All wait equally long, so the first to expire is the first in the queue. */
  #watch(): void {
    const [first] = this.#items.values();
    if (!first) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#expire();
        this.#watch();
        this.pump();
      }, first.expires - Date.now());
    }
  }

  #expire(): void {
    const now = Date.now();
    for (const item of this.#items.values()) {
      if (item.expires > now) return;
      const { id, channel } = item;
      this.#refuse(
        item,
        new TidewireError("no_answer", `No confirmation within ${this.timeoutMs} ms`, { id, channel }),
      );
    }
  }
}
