/**
 * Log lines: one JSON object each, by level and, where there are too many, a share of them. Pure: who writes and who hashes is an argument.
 * Never in a line: a prompt, an answer, a token, a key, SQL or a vendor's text, nor a model's name that a client made up. Users stand in it as hashes.
 */
import * as z from "zod";
import { traceIdOf } from "./trace.ts";

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LogLevel = z.enum(LOG_LEVELS);
export type LogLevel = z.infer<typeof LogLevel>;

/** Of the two settings, which all Workers have. */
export const LOG_MEANINGS = {
  level: "`debug`, `info`, `warn` or `error`: lines below it are left out of the log",
  sample:
    "the share of requests whose lines are written, 0 to 1: all lines of a request or none; errors, warnings and what was done in whose name are written in any case",
};

export interface LogLine {
  service: string;
  request_id?: string | undefined;
  /** Left out: `error` of a line with an error or a status from 500 on, but for `cache_miss`; else `info`. */
  level?: LogLevel;
  /** Whose doing it is; written as a hash, as the next two are. */
  user_id?: string | undefined;
  by?: string | undefined;
  user?: string | undefined;
  [field: string]: unknown;
}
export type Log = (line: LogLine) => void;

/** The request that is worked for, with its trace. */
export interface Served {
  requestId: string;
  traceparent?: string | undefined;
}
/** Does work for a request: lines that are written meanwhile, and that name no request, name this one. */
export type OnBehalfOf = <T>(served: Served, work: () => T) => T;

export interface LogOptions {
  /** Lines below it are left out. */
  level: LogLevel;
  /** The share of requests whose lines are written, 0 to 1. Errors, warnings and what was done in whose name are written in any case. */
  sample: number;
  /** Models that the settings name: another one, which is a client's words, is `other`. Left out: all are written. */
  models?: ReadonlySet<string> | undefined;
  /** The request that is worked for, of a line that names none. */
  served?: (() => Served | undefined) | undefined;
  write(text: string): void;
  /** In hexadecimal. */
  sha256(text: string): string;
}

export function createLog({ level: least, sample, models, served, write, sha256 }: LogOptions): Log {
  const hashUser = (id: string): string => hashOf(id, sha256);
  return (given) => {
    const line = addRequest(given, served?.());
    const level = line.level ?? (isFailure(line) ? "error" : "info");
    const isRoutine = level === "debug" || level === "info";
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    if (isRoutine && !isAudit(line) && !isSampled(line, sample)) return;
    const isStrange = models !== undefined && typeof line["model"] === "string" && !models.has(line["model"]);
    write(JSON.stringify({ level, ...hideUsers(line, hashUser), ...(isStrange && { model: "other" }) }));
  };
}

function addRequest(line: LogLine, served: Served | undefined): LogLine {
  const { request_id = served?.requestId, trace_id } = line;
  if (served === undefined || request_id !== served.requestId) return line;
  return { ...line, request_id, trace_id: trace_id ?? traceIdOf(served.traceparent) };
}

/** What was done in whose name. */
function isAudit({ route, ...line }: LogLine): boolean {
  return line["audit"] !== undefined || route === "audit" || route === "cache.purge";
}

/** At any depth: a filter of a purge names a user too. */
function hideUsers(fields: object, hashUser: (id: string) => string): Record<string, unknown> {
  const hidden = Object.entries(fields).map(([field, value]: [string, unknown]) => {
    if (USERS.includes(field) && typeof value === "string") return [field, hashUser(value)];
    const isNested = typeof value === "object" && value !== null && !Array.isArray(value);
    return [field, isNested ? hideUsers(value, hashUser) : value];
  });
  return Object.fromEntries(hidden) as Record<string, unknown>; // of entries
}

const USERS = ["user_id", "by", "user"];

/** A miss of whoever asks for a cached answer alone has status 504, but nothing has failed. */
function isFailure({ error, status, ...line }: LogLine): boolean {
  if (error === "cache_miss" || line["code"] === "cache_miss") return false;
  return error !== undefined || (typeof status === "number" && status >= 500);
}

/** All lines of a request or none, in every Worker: its id, whose end is random, decides; else the session's. */
function isSampled(line: LogLine, sample: number): boolean {
  const id = line.request_id ?? line["session_id"];
  if (sample >= 1 || typeof id !== "string") return true;
  const drawn = Number.parseInt(id.slice(-8), 16) / 2 ** 32;
  return Number.isNaN(drawn) || drawn < sample;
}

/**
 * A user's hash has no key: it is the same in all Workers, and whoever knows the id finds the lines. Ids hold 74 random bits, so a hash
 * does not lead back to one.
 */
export function hashOf(userId: string, sha256: (text: string) => string): string {
  return sha256(`basechat user ${userId}`).slice(0, 16);
}
