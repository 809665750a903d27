// Each golden frame is, field by field, what its generated interface says.

import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { GOLDEN, type Golden } from "./golden.js";

const HERE = import.meta.dirname;
const VIRTUAL = join(HERE, "golden_frames.generated.ts");
const CONFIG = ts.getParsedCommandLineOfConfigFile(
  join(HERE, "../tsconfig.json"),
  { types: [] },
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
);

/** Return what the compiler says of golden frames as literals of their interfaces. */
function problems(golden: readonly Pick<Golden, "message" | "frame">[]): string[] {
  const source = [
    'import type * as frames from "../src/frames.js";',
    ...golden.map(
      ({ message, frame }, n) =>
        `export const f${n}: frames.${message.replace(/.*\./, "")} = ${JSON.stringify(frame)};`,
    ),
  ].join("\n");
  const options: ts.CompilerOptions = { ...CONFIG?.options, types: [] };
  const host = ts.createCompilerHost(options);
  const virtual: ts.CompilerHost = {
    ...host,
    fileExists: (name) => name === VIRTUAL || host.fileExists(name),
    getSourceFile: (name, ...more) =>
      name === VIRTUAL ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022) : host.getSourceFile(name, ...more),
  };
  const program = ts.createProgram([VIRTUAL], options, virtual);
  return ts
    .getPreEmitDiagnostics(program)
    .map(
      ({ start = 0, messageText }) =>
        `${source.slice(start, start + 60)}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`,
    );
}

test("golden frames are of their types", () => {
  expect(GOLDEN.length).toBeGreaterThan(70);
  expect(problems(GOLDEN)).toEqual([]);
});

test("what is wrong is found: another type, a field that is missing, one too many", () => {
  const message = "tidewire.edge.v1.AckFrame";
  const data = { channel: "general", epoch: "e", offset: 1 };
  const wrong = [
    { type: "nack", data },
    { type: "ack", data: { channel: "general", offset: 1 } },
    { type: "ack", data, surprise: 1 },
    { type: "ack", data: { ...data, offset: true } },
    { type: "ack", data: { ...data, offset: "9007199254740993" } },
  ];
  expect(problems(wrong.map((frame) => ({ message, frame })))).toHaveLength(wrong.length - 1);
});
