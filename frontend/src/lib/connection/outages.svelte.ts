// When the connection broke, why, and how long it took to come back.

import type { Status, TidewireClient } from "tidewire-client";

const MOST_KEPT = 20;

export interface Outage {
  number: number;
  began: number;
  reason: string;
  /** Milliseconds until it was authenticated again; undefined: it still lasts. */
  lastedMs: number | undefined;
}

export class Outages {
  /** Newest first. */
  list = $state.raw<Outage[]>([]);
  count = $state(0);
  /** Since when the connection stands; 0: it does not. */
  since = $state(0);
  readonly end: () => void;

  constructor(client: TidewireClient) {
    this.end = client.on("status", (status) => this.#changed(status));
  }

  #changed({ state, error }: Status): void {
    const now = Date.now();
    if (state === "connected") {
      if (!this.since) this.#over(now);
      this.since ||= now;
    } else if (this.since) {
      this.since = 0;
      if (state === "disconnected") return;
      this.count++;
      const outage = {
        number: this.count,
        began: now,
        reason: error?.message ?? "The connection ended",
        lastedMs: undefined,
      };
      this.list = [outage, ...this.list.slice(0, MOST_KEPT - 1)];
    }
  }

  #over(now: number): void {
    const [newest, ...others] = this.list;
    if (newest?.lastedMs === undefined && newest) this.list = [{ ...newest, lastedMs: now - newest.began }, ...others];
  }
}
