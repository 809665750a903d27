// Close codes: may a client come back by itself? `protocol.md`, "Close codes".

/** Codes after which the client stays away; after all others, those of a broken network too, it comes back. */
const FINAL: ReadonlySet<number> = new Set([1000, 1009, 4000, 4002, 4003]);

/** Say if a client may come back by itself when no `disconnect` frame told it. */
export function mayReconnect(code: number): boolean {
  return !FINAL.has(code);
}
