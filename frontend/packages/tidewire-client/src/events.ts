// What a client tells without being asked.

import type { Message } from "./codec.js";
import type { TidewireError } from "./errors.js";
import type { AuthStatusData, ClientFrame, PresenceUpdateData, ServerFrame } from "./frames.js";
import type { Status } from "./link.js";

export interface ClientEvents {
  /** The connection stands otherwise than before. */
  status: Status;
  /** A message of a channel, a broadcast or a direct message; in each channel in order, each once. */
  message: Message;
  /** Somebody came to a channel or went; for channels that were joined with `presence`. */
  presence: PresenceUpdateData;
  /** Messages of a channel are gone for this client: `history_expired`, `epoch_changed`, or why they cannot be read. */
  lost: { channel: string; reason: string };
  /** The client is no longer in a channel, and did not leave it. */
  removed: { channel: string; reason: string };
  /** The key changed, and was checked again. */
  auth: AuthStatusData;
  /** A failure that no promise tells of. The client goes on. */
  error: TidewireError;
  /** A frame goes by. The key in `connect` is hidden. */
  frame: { direction: "in" | "out"; frame: ClientFrame | ServerFrame; bytes: number };
}
