// Acknowledgements: cumulative, so only the newest position of a channel is sent, and not for each message.

import type { Position } from "./tracker.js";

/** How long acknowledgements are gathered. */
const GATHER_MS = 200;

/** What acknowledging needs of the world. */
export interface AcksPort {
  send(channel: string, position: Position): void;
  /** Whether an acknowledgement of a channel can be sent now; if not, it waits. Undefined: never. */
  ready(channel: string): boolean | undefined;
}

export class Acks {
  readonly #waiting = new Map<string, Position>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly port: AcksPort) {}

  /** Acknowledge everything of a channel up to a position. */
  note(channel: string, { epoch, offset }: Position): void {
    const before = this.#waiting.get(channel);
    if (before?.epoch === epoch && before.offset >= offset) return;
    this.#waiting.set(channel, { epoch, offset });
    this.gather();
  }

  /** Send soon what waits and can be sent by then. */
  gather(): void {
    if (this.#waiting.size) this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Forget what waits. */
  clear(): void {
    this.#waiting.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Send now what can be sent. */
  flush(): void {
    this.#timer = undefined;
    for (const [channel, position] of this.#waiting) {
      const ready = this.port.ready(channel);
      if (ready === false) continue;
      this.#waiting.delete(channel);
      if (ready) this.port.send(channel, position);
    }
  }
}
