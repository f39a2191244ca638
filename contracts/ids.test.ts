import { expect, test } from "vitest";
import { newId, newTurnId, objectName, residencyOf, withResidency } from "./ids.ts";
import { GivenSessionOrTurnId, Id } from "./params.ts";

const random = (length: number) => Uint8Array.from({ length }, (_, at) => 16 * at + 7);
const SESSION = newId(1_764_000_000_000, random);

test("[REGION-1] a session's id and its turns' say for ever that their object is in the EU", () => {
  const inEu = withResidency(SESSION, "eu");
  expect([residencyOf(SESSION), residencyOf(inEu)]).toEqual([undefined, "eu"]);
  expect(residencyOf(newTurnId(1_764_000_001_000, inEu))).toBe("eu");
  expect(residencyOf(newTurnId(1_764_000_001_000, SESSION))).toBeUndefined();
  expect(withResidency(SESSION, undefined)).toBe(SESSION);
  expect(withResidency(inEu, "eu")).toBe(inEu);
});

test("[REGION-1] the id keeps its time, its random bits and its object's name, and is a UUID of version 8", () => {
  const inEu = withResidency(SESSION, "eu");
  expect(inEu).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(inEu.slice(0, 14)).toBe(SESSION.slice(0, 14));
  expect(objectName(inEu)).toBe(objectName(SESSION));
  expect(objectName(newTurnId(1_764_000_001_000, inEu))).toBe(objectName(SESSION));
});

test("[REGION-1] ids of sessions and turns are taken in both versions and any letter case, those of users in one", () => {
  const inEu = withResidency(SESSION, "eu");
  for (const id of [SESSION, inEu]) expect(GivenSessionOrTurnId.parse(id.toUpperCase())).toBe(id);
  expect(Id.safeParse(inEu).success).toBe(false);
  for (const version of ["4", "6", "9"]) {
    expect(GivenSessionOrTurnId.safeParse(`${SESSION.slice(0, 14)}${version}${SESSION.slice(15)}`).success).toBe(false);
  }
});
