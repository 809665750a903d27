import { expect, test } from "vitest";
import { pageOptions } from "$lib/page_options";
import { hueOf } from "$lib/hue";
import { bytesInWords, millisecondsInWords } from "$lib/units";

test("the address says who comes and where, and never with which key", () => {
  const options = pageOptions("?name=alice&workspace=demo&channel=ops&backoffMaxMs=2000&pongTimeoutMs=x&apiKey=k");
  expect(options).toEqual({
    name: "alice",
    domain: "personal",
    workspace: "demo",
    channel: "ops",
    tuning: { backoffMaxMs: 2000 },
  });
});

test("without an address: a guest, in the lobby", () => {
  const options = pageOptions("");
  expect(options.name).toMatch(/^guest-[a-z0-9]{1,4}$/);
  expect([options.channel, options.tuning]).toEqual(["lobby", {}]);
});

test("numbers in words", () => {
  expect([bytesInWords(12), bytesInWords(2_048), bytesInWords(3 * 1024 * 1024)]).toEqual([
    "12 B",
    "2.0 KiB",
    "3.0 MiB",
  ]);
  expect([millisecondsInWords(1.234), millisecondsInWords(12.6), millisecondsInWords(1_500)]).toEqual([
    "1.2 ms",
    "13 ms",
    "1.5 s",
  ]);
});

test("a name has one colour", () => {
  expect(hueOf("alice")).toBe(hueOf("alice"));
  expect(hueOf("alice")).not.toBe(hueOf("bob"));
});
