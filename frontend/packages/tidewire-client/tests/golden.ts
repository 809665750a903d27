// The golden frames of the contracts: one file for each frame and error, both directions.

import { readdirSync, readFileSync } from "node:fs";
import type { JsonObject } from "../src/index.js";

const FOLDER = new URL("../../../../protos/golden/", import.meta.url);

export interface Golden {
  name: string;
  direction: "client" | "server";
  message: string;
  frame: JsonObject & { type: string; data: JsonObject; id?: string };
}

export const GOLDEN: readonly Golden[] = readdirSync(FOLDER)
  .sort()
  .map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Golden);
