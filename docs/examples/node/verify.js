// Verifies an API key over gRPC, from the published .proto files alone: nothing is generated, nothing of Tidewire is installed.
//
//   node verify.js [ACTION [CHANNEL]] < file-with-the-key
//
// TIDEWIRE_AUTH_TARGET is the address of the auth service, TIDEWIRE_SERVICE_TOKEN the credential for it, TIDEWIRE_PROTOS the
// folder with the .proto files. Prints the verdict as JSON; ends with 0 if the key is good, else with 1.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTOS = process.env.TIDEWIRE_PROTOS ?? fileURLToPath(new URL("../../../protos", import.meta.url));
const TARGET = process.env.TIDEWIRE_AUTH_TARGET ?? "127.0.0.1:50051";
const DEADLINE_MS = 2000;

const definition = loadSync("tidewire/auth/v1/auth.proto", {
  includeDirs: [PROTOS],
  keepCase: true, // names as in the contract
  enums: String,
  longs: Number,
});
const { AuthService } = grpc.loadPackageDefinition(definition).tidewire.auth.v1;

const client = new AuthService(TARGET, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${process.env.TIDEWIRE_SERVICE_TOKEN}`);

export function verify(apiKey, action = "", channel = "") {
  return new Promise((resolve, reject) => {
    const request = { api_key: apiKey, action, channel };
    const deadline = Date.now() + DEADLINE_MS;
    client.VerifyKey(request, metadata, { deadline }, (error, response) => {
      if (error) reject(error);
      else resolve(response.verdict);
    });
  });
}

// A denial is an answer, not an error: only a service that is away, or that does not know the caller, ends up in `catch`.
const [action, channel] = process.argv.slice(2);
try {
  const verdict = await verify(readFileSync(0, "utf8").trim(), action, channel);
  console.log(JSON.stringify(verdict));
  process.exitCode = verdict.code === "VERDICT_CODE_VALID" ? 0 : 1;
} catch (error) {
  console.error(`not verified: ${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
} finally {
  client.close();
}
