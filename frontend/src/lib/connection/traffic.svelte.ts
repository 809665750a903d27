// What goes over the wire: the newest frames, and counts of all of them.

import type { ClientEvents, TidewireClient } from "tidewire-client";

const MOST_FRAMES = 150;

export interface SeenFrame {
  number: number;
  time: number;
  direction: "in" | "out";
  type: string;
  bytes: number;
  frame: ClientEvents["frame"]["frame"];
}

export class Traffic {
  frames = $state.raw<SeenFrame[]>([]);
  counts = $state({ in: 0, out: 0 });
  bytes = $state({ in: 0, out: 0 });
  /** Whether frames that only measure the connection are kept too. */
  withPings = $state(false);
  readonly end: () => void;
  #number = 0;

  constructor(client: TidewireClient) {
    this.end = client.on("frame", ({ direction, frame, bytes }) => {
      this.counts[direction]++;
      this.bytes[direction] += bytes;
      if (!this.withPings && MEASURING.has(frame.type)) return;
      const seen = { number: ++this.#number, time: Date.now(), direction, type: frame.type, bytes, frame };
      this.frames = [seen, ...this.frames.slice(0, MOST_FRAMES - 1)];
    });
  }

  clear(): void {
    this.frames = [];
  }
}

const MEASURING: ReadonlySet<string> = new Set(["ping", "pong", "receipt"]);
