import * as crypto from "node:crypto";
import { expect, test, vi } from "vitest";
import { hashPassword, verifyPassword } from "./password.ts";

vi.mock("node:crypto", async (original) => {
  const real = await original<typeof crypto>();
  return { ...real, scrypt: vi.fn<typeof real.scrypt>(real.scrypt) };
});

test("[S27] a password is kept as a hash with a salt of its own, and only it fits", async () => {
  const [one, two] = [await hashPassword("correct horse"), await hashPassword("correct horse")];
  expect(one).toMatch(/^scrypt\$14\$8\$5\$[0-9a-f]{32}\$[0-9a-f]{64}$/);
  expect(one).not.toBe(two);
  expect(await verifyPassword("correct horse", one)).toBe(true);
  expect(await verifyPassword("correct horsf", one)).toBe(false);
  // The same letters, composed and not.
  expect(await verifyPassword("cafe\u0301 au lait", await hashPassword("caf\u00e9 au lait"))).toBe(true);
});

test("[B51] an unknown user, a user without a password and a wrong one cost the same work", async () => {
  const stored = await hashPassword("correct horse");
  const work = [];
  for (const hash of [stored, undefined, "!", "scrypt$1$1$1$$"]) {
    vi.mocked(crypto.scrypt).mockClear();
    expect(await verifyPassword("wrong", hash)).toBe(false);
    work.push(vi.mocked(crypto.scrypt).mock.calls.map(([, , length, options]) => ({ length, options })));
  }
  expect(work[0]).toHaveLength(1);
  for (const calls of work) expect(calls).toEqual(work[0]);
});
