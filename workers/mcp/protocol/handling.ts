/**
 * What answers a method of the protocol, whichever revision carries it: its params as they came, and who asks. No state; knows no SDK.
 * Refuses by `refuse` alone: any other error is a fault of ours, whose text nobody is told.
 */
import type * as z from "zod";
import type { ToolContext } from "../tools/tool.ts";

export type Method = (params: unknown, context: ToolContext) => Promise<Record<string, unknown>>;
/** By the protocol's names. */
export type Methods = Record<string, Method>;

export const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;

/** An error of the protocol, in our words. */
export class Refusal extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export function refuse(code: number, message: string, data?: unknown): never {
  throw new Refusal(code, message, data);
}

/** What may be told of any error. */
export function toRefusal(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal(INTERNAL_ERROR, "Internal error");
}

export function parse<T extends z.ZodType>(schema: T, params: unknown): z.output<T> {
  const parsed = schema.safeParse(params);
  return parsed.success ? parsed.data : refuse(INVALID_PARAMS, "Malformed params");
}
