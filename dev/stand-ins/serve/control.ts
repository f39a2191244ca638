/**
 * The body of `POST /_control`: `{"mode": string, "latency_ms": number}`, each optional. Pure.
 * Refuses unknown fields, anything that is no number of milliseconds, and modes that the stand-in does not name.
 */
export interface ControlChange {
  mode?: string;
  latencyMs?: number;
}

/** Faults beside "up" and "down": a list, or a check for a grammar. */
export type Modes = readonly string[] | ((mode: string) => boolean);

/** The caller's fault: answered 400 with this message. */
export class ControlError extends Error {}

export function parseControl(body: Buffer): ControlChange {
  const change: ControlChange = {};
  for (const [field, value] of Object.entries(parseObject(body))) {
    if (field === "mode" && typeof value === "string") change.mode = value;
    else if (field === "latency_ms" && typeof value === "number" && value >= 0) change.latencyMs = value;
    else throw new ControlError(`bad field: ${field}`);
  }
  return change;
}

function parseObject(body: Buffer): object {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed;
  } catch {
    // Falls through: the same answer as for any other body that is no object.
  }
  throw new ControlError("the body must be a JSON object");
}

export function isMode(mode: string, modes: Modes | undefined): boolean {
  if (mode === "up" || mode === "down") return true;
  return typeof modes === "function" ? modes(mode) : (modes?.includes(mode) ?? false);
}
