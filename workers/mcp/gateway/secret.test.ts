import { expect, test } from "vitest";
import { createVault } from "./secret.ts";

const KEY = "a secret key of 32 characters or more";
const HEADERS = { authorization: "Bearer canary-11fe" };

test("[S20] what is sealed can be opened with the same key for the same server alone, and never looks the same twice", async () => {
  const vault = createVault(KEY);
  const [one, two] = [await vault.seal(HEADERS, "tides"), await vault.seal(HEADERS, "tides")];
  expect(one).not.toBe(two);
  expect(Buffer.from(one, "base64").toString("latin1")).not.toContain("canary");
  expect(await vault.open(one, "tides")).toEqual(HEADERS);
  expect(await vault.open(one, "other")).toBeUndefined();
  expect(await createVault(`${KEY}.`).open(one, "tides")).toBeUndefined();
  const changed = Buffer.from(one, "base64");
  changed[20] = (changed[20] ?? 0) ^ 1;
  expect(await vault.open(changed.toString("base64"), "tides")).toBeUndefined();
  expect(await vault.open("", "tides")).toBeUndefined();
});
