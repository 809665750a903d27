// A WebSocket that the page can break on purpose, to show how the client comes back.

import type { SocketConstructor } from "tidewire-client";

/** What a browser says of a connection that broke (RFC 6455, section 7.4.1). */
const ABNORMAL = 1006;

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
  return { WebSocket: Remembered as unknown as SocketConstructor, break: () => newest && breakOff(newest) };
}

/** Have a socket hear nothing more but its end. */
function breakOff(socket: WebSocket): void {
  const { onclose } = socket;
  socket.onmessage = socket.onclose = null;
  socket.close();
  onclose?.call(socket, new CloseEvent("close", { code: ABNORMAL }));
}
