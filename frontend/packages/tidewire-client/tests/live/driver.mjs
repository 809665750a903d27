// A client of the built package as a process of its own: commands come in as lines of JSON, answers and events go out.
//
// {"call": 1, "method": "join", "args": ["general"]}  ->  {"call": 1, "value": {...}} or {"call": 1, "error": {...}}
// {"event": "status", "value": {...}}                     without being asked
// Usage: node driver.mjs '{"url": ..., "clientId": ..., "apiKey": ...}'

import { createInterface } from "node:readline";
import WebSocket from "ws";
import { TidewireClient } from "../../dist/index.js";

const client = new TidewireClient({ ...JSON.parse(process.argv[2]), WebSocket });
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const told = ({ message, errorType, code, id, transient }) => ({ message, errorType, code, id, transient });

for (const event of ["message", "presence", "lost", "removed", "auth"]) {
  client.on(event, (value) => tell({ event, value }));
}
client.on("error", (error) => tell({ event: "error", value: told(error) }));
client.on("status", ({ error, ...status }) =>
  tell({ event: "status", value: { ...status, error: error && told(error) } }),
);

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { call, method, args } = JSON.parse(line);
    try {
      tell({ call, value: (await client[method](...args)) ?? null });
    } catch (error) {
      tell({ call, error: told(error) });
    }
  })
  .on("close", () => process.exit(0));
