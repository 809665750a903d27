// Ids of frames.

/** Return an id that nobody else has: 128 random bits. Works on pages that are no secure context, too. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let count = 0;

/** Return an id for a frame that is not stored: it is looked at on this client only. */
export function frameId(): string {
  return `~${(++count).toString(36)}`;
}
