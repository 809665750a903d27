// How long to wait before the next attempt: exponential with full jitter, and never less than the server asked for.

/** A connection that lived this long was a good one: the next failure is a first one. */
export const STABLE_MS = 5_000;

export class Backoff {
  #failures = 0;

  /**
   * @param baseMs The first wait is up to this long.
   * @param maxMs No wait is longer, unless the server asks for it.
   * @param random Uniform in [0, 1).
   */
  constructor(
    private readonly baseMs: number,
    private readonly maxMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** Failures since the last good connection. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Count a failure and return the wait before the next attempt, in milliseconds.
   *
   * @param retryAfterMs What the server asked for, already jittered.
   */
  next(retryAfterMs?: number): number {
    const ceiling = Math.min(this.maxMs, this.baseMs * 2 ** this.#failures);
    const first = this.#failures++ === 0;
    if (retryAfterMs === undefined) return this.random() * ceiling;
    return first ? retryAfterMs : Math.max(retryAfterMs, this.random() * ceiling);
  }

  /** Begin anew, after a good connection. */
  reset(): void {
    this.#failures = 0;
  }
}
