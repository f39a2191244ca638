/** Ids and page sizes from paths and queries, checked; a malformed one is named. Pure. */
import * as z from "zod";
import { AppError } from "../../../contracts/errors.ts";

const Id = z.uuidv7();

export function parseId(text: string, name: string): string {
  const parsed = Id.safeParse(text);
  if (!parsed.success) throw new AppError("invalid_request", `${name} must be a UUIDv7`);
  return parsed.data;
}

/** A whole number of a query; `fallback` where it is left out. */
export function parseCount(
  text: string | undefined,
  { name, max, fallback }: { name: string; max: number; fallback: number | undefined },
): number | undefined {
  if (text === undefined) return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > max)
    throw new AppError("invalid_request", `${name} must be a whole number from 1 to ${max}`);
  return value;
}
