// Messages of one channel on their way to the application: in order, each once, and gaps are healed with `history`.

import type { HistoryPage, Message } from "./codec.js";
import { TidewireError } from "./errors.js";
import { Tracker, type Position } from "./tracker.js";

/** Messages that wait for a gap to be healed; what comes beyond is dropped, and fetched as the next gap. */
const MAX_HELD = 1_000;
const PAGE = 500;

/** What a feed needs of the world. */
export interface FeedPort {
  /** Ask for what comes behind a position. */
  history(channel: string, since: Position, limit: number): Promise<HistoryPage>;
  /** Give a message to the application. */
  deliver(message: Message): void;
  /** Tell that messages are gone, and why. */
  lost(channel: string, reason: string): void;
}

export class Feed {
  readonly tracker = new Tracker();
  #held: Message[] | undefined;
  /** Counts resets: what was begun before one delivers nothing after it. */
  #resets = 0;

  constructor(
    readonly channel: string,
    private readonly port: FeedPort,
  ) {}

  /** Take a message that came. */
  take(message: Message): void {
    if (this.#held) {
      if (this.#held.length < MAX_HELD) this.#held.push(message);
    } else if (this.#placed(message) === "gap") {
      void this.#heal((this.#held = [message]));
    }
  }

  /** Forget what waits: the channel was left, or the connection is gone, and a rejoin brings it again. */
  reset(): void {
    this.#held = undefined;
    this.#resets++;
  }

  #placed(message: Message): string {
    const verdict = this.tracker.accept(message);
    if (verdict === "next") this.port.deliver(message);
    return verdict;
  }

  async #heal(held: Message[]): Promise<void> {
    const resets = this.#resets;
    const over = (): boolean => resets !== this.#resets;
    let reason = "history_expired";
    try {
      let more = true;
      while (more) {
        const since = this.tracker.position;
        if (!since) break;
        const page = await this.port.history(this.channel, since, PAGE);
        if (over()) return;
        this.#takePage(page, since, over);
        more = page.more && this.tracker.position !== since;
      }
    } catch (error) {
      reason = error instanceof TidewireError ? error.errorType : "server_error";
    }
    for (const message of held) {
      if (over()) return;
      if (this.#placed(message) === "gap") this.#skipTo(message, reason);
    }
    if (!over()) this.#held = undefined;
  }

  #takePage(page: HistoryPage, since: Position, over: () => boolean): void {
    const first = page.messages[0];
    if (page.recovered === false) {
      this.port.lost(this.channel, page.reason ?? "history_expired");
      this.tracker.goOnFrom(first ? { epoch: first.epoch, offset: first.offset - 1 } : page);
    } else if (page.epoch !== since.epoch) {
      this.tracker.recovered(page);
    }
    for (const message of page.messages) {
      if (over()) return;
      this.#placed(message);
    }
  }

  /** Nothing brings what is missing before a message: say so, and go on. */
  #skipTo(message: Message, reason: string): void {
    this.port.lost(this.channel, reason);
    this.tracker.goOnFrom({ epoch: message.epoch, offset: message.offset - 1 });
    this.#placed(message);
  }
}
