// Sends no faster than the server allows, so that nothing is refused for its rate.

import { byteLength } from "./codec.js";
import type { ConnectionLimits } from "./frames.js";

/** A tenth stays free: clocks differ, and networks deliver in bursts. */
const SHARE = 0.9;

/** Lets through `rate` units a second with a burst; 0 as the rate means no limit. */
class Bucket {
  #level: number;
  #time = performance.now();

  constructor(
    private readonly rate: number,
    private readonly burst: number,
  ) {
    this.#level = burst;
  }

  /** Return the milliseconds until `amount` is there. */
  wait(amount: number): number {
    if (!this.rate) return 0;
    const now = performance.now();
    this.#level = Math.min(this.burst, this.#level + ((now - this.#time) * this.rate) / 1_000);
    this.#time = now;
    return Math.max(0, ((Math.min(amount, this.burst) - this.#level) * 1_000) / this.rate);
  }

  take(amount: number): void {
    this.#level -= Math.min(amount, this.burst);
  }
}

export class Pacer {
  readonly #frames: Bucket;
  readonly #bytes: Bucket;
  readonly #waiting: string[] = [];
  #pausedUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param limits What the connection may do.
   * @param transmit Gives a text to the socket.
   */
  constructor(
    limits: ConnectionLimits,
    private readonly transmit: (text: string) => void,
  ) {
    const rate = limits.frames_per_second ?? 0;
    this.#frames = new Bucket(SHARE * rate, Math.max(1, SHARE * (limits.frames_burst ?? rate)));
    const bytes = Number(limits.bytes_per_second ?? 0);
    this.#bytes = new Bucket(SHARE * bytes, Math.max(SHARE * bytes, Number(limits.max_frame_bytes ?? 0)));
  }

  /** Send a text, as soon as it may be sent; the order is kept. */
  send(text: string): void {
    this.#waiting.push(text);
    if (this.#timer === undefined) this.#drain();
  }

  /** Send nothing for a while, in milliseconds: the server asked for it. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + ms);
  }

  /** Forget what waits. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #drain(): void {
    this.#timer = undefined;
    for (let text; (text = this.#waiting[0]) !== undefined;) {
      const size = byteLength(text);
      const wait = Math.max(this.#pausedUntil - performance.now(), this.#frames.wait(1), this.#bytes.wait(size));
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#drain(), Math.ceil(wait));
        return;
      }
      this.#waiting.shift(); // first, for who watches frames may send another one meanwhile
      this.#frames.take(1);
      this.#bytes.take(size);
      this.transmit(text);
    }
  }
}
