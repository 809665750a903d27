// What a page loads of the client.

import { readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

test("less than 8 kB, minified and compressed, and nothing beside it", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [`${import.meta.dirname}/../src/index.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    metafile: true,
  });
  expect(outputFiles).toHaveLength(1);
  expect(gzipSync(outputFiles[0]?.contents ?? "").length).toBeLessThan(8_000);
  expect(Object.keys(metafile.inputs).filter((name) => !/(^|\/)src\//.test(name))).toEqual([]);
});

test("no dependency at run time", () => {
  const manifest = JSON.parse(readFileSync(`${import.meta.dirname}/../package.json`, "utf8")) as Record<
    string,
    unknown
  >;
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.peerDependencies).toBeUndefined();
  expect(statSync(`${import.meta.dirname}/../LICENSE`).size).toBeGreaterThan(0);
});
