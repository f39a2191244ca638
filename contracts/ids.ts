/**
 * Ids are UUIDv7. A turn's id carries the 74 random bits of its session, so the object that holds a turn is found
 * from the turn's id alone, without a look-up. Pure: time and randomness are arguments.
 * Layout: RFC 9562 section 5.7 (48 bits of Unix milliseconds, version, 12 random bits, variant, 62 random bits). Of a session whose object
 * must be in the EU, and of its turns, the version is 8, which the RFC leaves to whoever makes the id: the id says so for ever.
 */
export type RandomBytes = (length: number) => Uint8Array;

/** A new UUIDv7 from milliseconds since 1970 and 10 random bytes. */
export function newId(nowMs: number, random: RandomBytes): string {
  const hex = toHex(random(10));
  return format(nowMs, `7${hex.slice(0, 3)}`, variant(hex.slice(3, 7)), hex.slice(7, 19));
}

/** Where the object of a session must be, and its turns' with it. */
export type Residency = "eu";

export function residencyOf(sessionOrTurnId: string): Residency | undefined {
  return sessionOrTurnId[14] === "8" ? "eu" : undefined;
}

/** A fresh session's id, made to say where its object must be; undefined: anywhere. */
export function withResidency(id: string, residency: Residency | undefined): string {
  return residency === undefined ? id : `${id.slice(0, 14)}8${id.slice(15)}`;
}

/** A turn's id: its own time, its session's random bits and residency. Unique while no two turns of a session share a millisecond. */
export function newTurnId(nowMs: number, sessionId: string): string {
  return format(nowMs, sessionId.slice(14, 18), sessionId.slice(19, 23), sessionId.slice(24));
}

/** When it was made, in milliseconds since 1970. */
export function madeAtMs(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The name of the object that holds a session and its turns: the random bits that their ids share. */
export function objectName(sessionOrTurnId: string): string {
  return sessionOrTurnId.slice(15);
}

function format(nowMs: number, versionAndA: string, variantAndB: string, randomB: string): string {
  const time = nowMs.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-${versionAndA}-${variantAndB}-${randomB}`;
}

function variant(hex: string): string {
  return ((Number.parseInt(hex, 16) & 0x3fff) | 0x8000).toString(16);
}

/** Two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
