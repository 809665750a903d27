// Where the client stands in one channel: which message comes next, which came before, and what is missing.
//
// The invariant: `position` is what a rejoin asks from. It moves only to a message that was given to the application, or to
// where the server said that nothing before it is ours; so nothing between it and the next message is ever skipped.

/** A place in a channel: behind the message with this offset, in this life of the channel. */
export interface Position {
  epoch: string;
  offset: number;
}

export type Verdict = "next" | "duplicate" | "gap";

export class Tracker {
  #seen: Position | undefined;
  #learned: Position | undefined;
  /** A replay may begin anywhere behind `floor` and not behind `head + 1`. */
  #open: { epoch: string; floor: number; head: number } | undefined;

  /** From where a rejoin goes on; undefined: not known, so ask as at first. */
  get position(): Position | undefined {
    return this.#seen ?? this.#learned;
  }

  /** Whether the beginning of a replay is awaited. */
  get open(): boolean {
    return this.#open !== undefined;
  }

  /** Say how a message fits; "next": it is counted as given to the application. */
  accept({ epoch, offset }: Position): Verdict {
    const open = this.#open;
    if (open?.epoch === epoch) {
      if (offset <= open.floor) return "duplicate";
      if (offset > open.head + 1) {
        this.settle();
        return "gap";
      }
    } else if (this.#seen) {
      if (epoch !== this.#seen.epoch) return "gap";
      if (offset <= this.#seen.offset) return "duplicate";
      if (offset > this.#seen.offset + 1) return "gap";
    }
    this.goOnFrom({ epoch, offset });
    return "next";
  }

  /** Go on strictly behind a position. */
  goOnFrom({ epoch, offset }: Position): void {
    this.#seen = { epoch, offset };
    this.#open = undefined;
  }

  /** Where the channel stands, in case nothing comes before the next rejoin; a message counts wherever it stands. */
  learn({ epoch, offset }: Position): void {
    this.#learned = { epoch, offset };
  }

  /** A join from `position` brings everything behind it, perhaps of another epoch that has that part in common. */
  recovered(head: Position): void {
    this.goOnFrom({ epoch: head.epoch, offset: this.position?.offset ?? head.offset });
  }

  /**
   * A join brings a part of the past whose beginning is not known.
   *
   * @param head The newest message of the channel.
   * @param floor Nothing up to here may come.
   */
  replayed(head: Position, floor: number): void {
    if (head.offset <= floor) this.goOnFrom(head);
    else this.#open = { epoch: head.epoch, floor, head: head.offset };
  }

  /** The replay is over: if nothing came, nothing was there. */
  settle(): void {
    if (this.#open) this.goOnFrom({ epoch: this.#open.epoch, offset: this.#open.head });
  }
}
