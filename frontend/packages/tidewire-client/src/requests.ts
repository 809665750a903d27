// Questions to the server that change nothing: asked again on a new connection, each answered, refused or timed out.

import { deferred, type Deferred } from "./deferred.js";
import { TidewireError } from "./errors.js";
import type { HistoryFrame, PongFrame, PresenceFrame, ReceiptFrame, ServerFrame } from "./frames.js";

/** Which frame answers which. */
interface Answers {
  history: HistoryFrame;
  presence: PresenceFrame;
  receipt: ReceiptFrame;
  ping: PongFrame;
}

interface Request {
  id: string;
  answer: ServerFrame["type"];
  text: string;
  /** It is about one connection, so it is not asked again on another. */
  once: boolean;
  done: Deferred<ServerFrame>;
  timer: ReturnType<typeof setTimeout>;
}

export class Requests {
  readonly #waiting = new Map<string, Request>();
  #online = false;

  constructor(
    private readonly send: (text: string) => void,
    private readonly maxWaiting: number,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Ask, now or as soon as there is a connection.
   *
   * @param type The frame's type.
   * @param id The frame's id.
   * @param text The frame.
   */
  async ask<T extends keyof Answers>(type: T, id: string, text: string): Promise<Answers[T]> {
    const once = type === "ping";
    if (once && !this.#online) throw new TidewireError("connection_lost", "There is no connection", { id });
    if (this.#waiting.size >= this.maxWaiting) {
      throw new TidewireError("queue_full", `More than ${this.maxWaiting} requests wait`, { id });
    }
    const done = deferred<ServerFrame>();
    const timer = setTimeout(() => {
      this.#end(id)?.reject(new TidewireError("no_answer", `No answer to ${type} within ${this.timeoutMs} ms`, { id }));
    }, this.timeoutMs);
    this.#waiting.set(id, { id, answer: once ? "pong" : type, text, once, done, timer });
    if (this.#online) this.send(text);
    return done.promise as Promise<Answers[T]>;
  }

  /** A connection is there; everything is asked on it. */
  connected(): void {
    this.#online = true;
    for (const request of this.#waiting.values()) this.send(request.text);
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#online = false;
    for (const { id, once } of this.#waiting.values()) {
      if (once) this.#end(id)?.reject(new TidewireError("connection_lost", "The connection ended", { id }));
    }
  }

  /** Take a frame; return whether it is an answer to one of these. */
  answered(frame: ServerFrame): boolean {
    const id = "id" in frame ? (frame.id ?? "") : "";
    if (this.#waiting.get(id)?.answer !== frame.type) return false;
    this.#end(id)?.resolve(frame);
    return true;
  }

  /** Take an error; return whether it was for one of these. What came too fast is asked again. */
  refused(error: TidewireError): boolean {
    const request = this.#waiting.get(error.id ?? "");
    if (!request) return false;
    if (error.errorType === "rate_limited") this.send(request.text);
    else this.#end(request.id)?.reject(error);
    return true;
  }

  /** Give everything up. */
  clear(error: TidewireError): void {
    for (const id of [...this.#waiting.keys()]) this.#end(id)?.reject(error);
  }

  #end(id: string): Deferred<ServerFrame> | undefined {
    const request = this.#waiting.get(id);
    clearTimeout(request?.timer);
    this.#waiting.delete(id);
    return request?.done;
  }
}
