// Measures the way to the server and back, and keeps the newest results for the plot.

import type { TidewireClient } from "tidewire-client";

const EVERY_MS = 1_000;
export const MOST_SAMPLES = 60;

/** Milliseconds there and back; undefined: there was no connection. */
export type Sample = number | undefined;

export class Latency {
  samples = $state.raw<Sample[]>([]);
  readonly #timer: ReturnType<typeof setInterval>;
  #asking = false;

  constructor(private readonly client: TidewireClient) {
    this.#timer = setInterval(() => void this.#measure(), EVERY_MS);
    void this.#measure();
  }

  get latest(): Sample {
    return this.samples.at(-1);
  }

  /** The value in the middle of the newest samples. */
  get median(): Sample {
    const known = this.samples.filter((sample) => sample !== undefined).sort((one, other) => one - other);
    return known[Math.floor(known.length / 2)];
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #measure(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    let sample: Sample;
    if (this.client.status.authenticated) sample = await this.client.ping().catch(() => undefined);
    this.#asking = false;
    this.samples = [...this.samples.slice(1 - MOST_SAMPLES), sample];
  }
}
