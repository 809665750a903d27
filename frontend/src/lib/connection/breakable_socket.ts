// A WebSocket that the page can break on purpose, to show how the client comes back.

import type { SocketConstructor } from "tidewire-client";

/** Any code that means neither an orderly end nor a refusal: the client takes it for a broken network. */
const BROKEN = 3000;

export interface Breakable {
  WebSocket: SocketConstructor;
  /** Break the newest connection. */
  break(): void;
}

/** Return a WebSocket class, and what breaks its newest connection. */
export function breakable(): Breakable {
  let newest: WebSocket | undefined;
  class Remembered extends WebSocket {
    constructor(url: string) {
      super(url);
      // eslint-disable-next-line @typescript-eslint/no-this-alias -- it is what is to be broken
      newest = this;
    }
  }
  return { WebSocket: Remembered as unknown as SocketConstructor, break: () => newest?.close(BROKEN) };
}
