// Verifies an API key over plain HTTP, with nothing but what Node.js has: the request and the answer are the messages of the
// .proto files as JSON.
//
//   node verify_http.js [ACTION [CHANNEL]] < file-with-the-key
//
// TIDEWIRE_AUTH_URL is the HTTP address of the auth service, TIDEWIRE_SERVICE_TOKEN the credential for it. Prints the verdict
// as JSON; ends with 0 if the key is good, else with 1.
import { readFileSync } from "node:fs";

const URL_OF_AUTH = process.env.TIDEWIRE_AUTH_URL ?? "http://127.0.0.1:9051";
const DEADLINE_MS = 2000;

export async function verify(apiKey, action = "", channel = "") {
  const response = await fetch(`${URL_OF_AUTH}/v1/verify`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${process.env.TIDEWIRE_SERVICE_TOKEN}`,
    },
    body: JSON.stringify({ apiKey, action, channel }),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).verdict;
}

// A denial is an answer, not an error: only a service that is away, or that does not know the caller, ends up in `catch`.
const [action, channel] = process.argv.slice(2);
try {
  const verdict = await verify(readFileSync(0, "utf8").trim(), action, channel);
  console.log(JSON.stringify(verdict));
  process.exitCode = verdict.code === "VERDICT_CODE_VALID" ? 0 : 1;
} catch (error) {
  console.error(`not verified: ${error.message}`);
  process.exitCode = 1;
}
