/**
 * Cursors: where a page of a list begins, signed, so that they are good only for the user and the list that they were made for, with its
 * filters. State: none but the key, which is made from SECRET_KEY. Refuses everything else in one way.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Position } from "../../../contracts/archive.ts";
import { AppError } from "../../../contracts/errors.ts";

/** The list: its route's name, its user, and every filter that decides what is in it. */
export type ListName = readonly (string | number | undefined)[];

export interface Cursors {
  /** null: there is no next page. */
  write(list: ListName, next: Position | undefined): string | null;
  /** undefined: the list from its top. */
  read(list: ListName, cursor: string | undefined): Position | undefined;
}

const PURPOSE = "basechat cursor 1";

/** Without a secret nobody is signed in, and so nobody has a list. */
export function createCursors(secret: string | undefined): Cursors {
  const key = secret && createHmac("sha256", secret).update(PURPOSE).digest("hex");
  const sign = (list: ListName, position: string): string => {
    if (!key) throw new AppError("not_configured", "cursors need SECRET_KEY");
    const named = JSON.stringify([position, ...list.map((part) => part ?? null)]);
    return createHmac("sha256", key).update(named).digest("base64url");
  };
  return {
    write(list, next) {
      if (next === undefined) return null;
      const position = encode(next);
      return `${position}.${sign(list, position)}`;
    },
    read(list, cursor) {
      if (cursor === undefined) return undefined;
      const [position = "", mac = "", ...rest] = cursor.split(".");
      if (rest.length > 0 || !isSame(mac, sign(list, position))) {
        throw new AppError("invalid_request", "the cursor is not one of this list");
      }
      return decode(position);
    },
  };
}

function isSame(given: string, right: string): boolean {
  const [a, b] = [given, right].map((text) => new TextEncoder().encode(text));
  return a?.length === b?.length && a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

function encode({ atMs, id }: Position): string {
  return btoa(`${atMs}.${id}`).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
}

/** Of a position that has been signed. */
function decode(position: string): Position {
  const [atMs, id = ""] = atob(position.replaceAll("-", "+").replaceAll("_", "/")).split(".");
  return { atMs: Number(atMs), id };
}
