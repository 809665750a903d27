// What can go wrong, as one error class with fields; `protocol.md`, "Errors".

import type { ErrorFrame, ErrorType, Int64, JsonObject } from "./frames.js";

/** No wait is longer: timers of more than 24.8 days would fire at once. */
const MAX_WAIT_MS = 86_400_000;

/** What the client itself finds; everything else is an `error_type` of the server. */
export type LocalErrorType =
  /** `disconnect()` was called, or `leave()` while joining. */
  | "cancelled"
  /** Too much waits already: `maxQueue`. */
  | "queue_full"
  /** No answer in time. A message may still have been stored; its `id` is safe to use again. */
  | "no_answer"
  /** The connection ended before the answer to something that is of one connection only. */
  | "connection_lost"
  /** Not possible as asked. */
  | "invalid_argument";

export interface ErrorFields {
  /** As HTTP would say it; 0: found by the client itself. */
  code?: number;
  /** When repeating may succeed, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** More for programs, e.g. `{ permission: "publish:general" }`. */
  details?: JsonObject | undefined;
  /** The `id` of the frame that was refused. */
  id?: string | undefined;
  /** The channel that it is about. */
  channel?: string | undefined;
  /** What lies behind it. */
  cause?: unknown;
}

/** A refusal of the server, or a failure that the client found itself. */
export class TidewireError extends Error {
  override readonly name = "TidewireError";
  readonly code: number;
  readonly retryAfterMs: number | undefined;
  readonly details: JsonObject | undefined;
  readonly id: string | undefined;
  readonly channel: string | undefined;

  /**
   * @param errorType Which row of the table of errors.
   * @param message For people.
   * @param fields What else is known.
   */
  constructor(
    readonly errorType: ErrorType | LocalErrorType,
    message: string,
    fields: ErrorFields = {},
  ) {
    super(message, { cause: fields.cause });
    this.code = fields.code ?? 0;
    this.retryAfterMs = fields.retryAfterMs;
    this.details = fields.details;
    this.id = fields.id;
    this.channel = fields.channel;
  }

  /** What was refused may succeed when it is tried again, with the same `id`. */
  get transient(): boolean {
    return ["rate_limited", "timeout", "unavailable", "no_answer"].includes(this.errorType);
  }
}

/** Return how long a frame asks to wait, in milliseconds and within reason; undefined: it does not say. */
export function waitMs(asked: Int64 | undefined): number | undefined {
  const wait = Number(asked ?? NaN);
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(0, wait), MAX_WAIT_MS);
}

/** Return the error that an `error` frame tells of. */
export function errorOf(frame: ErrorFrame): TidewireError {
  const { message, error_type, code, retry_after_ms, details } = frame.data;
  return new TidewireError(error_type as ErrorType, message, {
    code: code ?? 0,
    retryAfterMs: waitMs(retry_after_ms),
    details,
    id: frame.id,
    channel: frame.channel,
  });
}
