// The clients of a measurement, in the page. Python asks through `window.bench`.
import { TidewireClient } from "./index.js";

const clients = new Map();

window.bench = {
  /** Connect a client and have it join a channel. */
  async open(name, options, channel) {
    const client = new TidewireClient({ clientId: name, ...options });
    const seen = { client, connectedAt: 0, contents: [], confirmed: 0, refused: 0 };
    clients.set(name, seen);
    client.on("status", ({ state }) => {
      if (state === "connected" && !seen.up) seen.connectedAt = Date.now();
      seen.up = state === "connected";
    });
    client.on("message", ({ channel: from, data }) => {
      if (from === channel) seen.contents.push(data.content);
    });
    await client.connect();
    await client.join(channel);
  },
  /** How each client stands: its state, failures since it was last stable, when it was last authenticated. */
  stands: () =>
    [...clients.values()].map(({ client: { status }, connectedAt }) => [status.state, status.attempts, connectedAt]),
  /** Publish numbers; how they come out is counted. */
  publish(name, channel, from, to) {
    const seen = clients.get(name);
    for (let content = from; content < to; content++) {
      seen.client.publish(channel, { content }).then(
        () => seen.confirmed++,
        () => seen.refused++,
      );
    }
  },
  counts(name) {
    const { confirmed, refused, contents } = clients.get(name);
    return { confirmed, refused, received: contents.length };
  },
  contents: (name) => clients.get(name).contents,
};
