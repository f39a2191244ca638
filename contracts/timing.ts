/**
 * Where the time of a request goes: one stage at a time, so that the stages' times add up to the whole. Pure: the clock is an argument.
 * And the header `Server-Timing`, which tells it.
 */
import { type Attributes, type InSpan, untraced } from "./spans.ts";

interface Span {
  /** Left out: the stage's. */
  name?: string;
  attributes?: Attributes;
}

/** In milliseconds, by stage. */
export type Stages = Record<string, number>;

export class StageClock {
  readonly startedAtMs: number;
  readonly #now: () => number;
  readonly #inSpan: InSpan;
  readonly #times = new Map<string, number>();
  #stage: string;
  #sinceMs: number;

  /** Stages that run by `during` are spans as well. */
  constructor(now: () => number, first: string, inSpan: InSpan = untraced) {
    this.#now = now;
    this.#inSpan = inSpan;
    this.#stage = first;
    this.startedAtMs = now();
    this.#sinceMs = this.startedAtMs;
  }

  /** What comes from here on is of this stage. */
  to(stage: string): void {
    this.#settle();
    this.#stage = stage;
  }

  /** Runs as a stage of its own, and goes on with the one before. */
  async during<T>(stage: string, work: () => Promise<T>, span: Span = {}): Promise<T> {
    const before = this.#stage;
    this.to(stage);
    try {
      return await this.#inSpan({ name: stage, ...span }, work);
    } finally {
      this.to(before);
    }
  }

  /** Up to now. */
  read(): Stages {
    this.#settle();
    return Object.fromEntries(this.#times);
  }

  #settle(): void {
    const nowMs = this.#now();
    this.#times.set(this.#stage, (this.#times.get(this.#stage) ?? 0) + nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
  }
}

/** `auth;dur=2, cache;dur=5;desc="absent"`; `why`: of the cache. */
export function toServerTiming(stages: Stages, why?: string): string {
  return Object.entries(stages)
    .map(([name, ms]) => `${name};dur=${ms}${name === "cache" && why !== undefined ? `;desc="${why}"` : ""}`)
    .join(", ");
}

const NAME = /^[a-z_]+$/;
const PARAMETER = /^[a-z]+=(?:"[a-z_]*"|[\d.]+)$/;

/** The stages that a header tells of; none of one that is not ours. */
export function readServerTiming(header: string | null): Stages {
  const stages: Stages = {};
  for (const part of (header ?? "").split(",")) {
    const [name = "", ...rest] = part.trim().split(";");
    if (!NAME.test(name) || !rest.every((one) => PARAMETER.test(one))) continue;
    const ms = Number(rest.find((one) => one.startsWith("dur="))?.slice(4) ?? 0);
    stages[name] = (stages[name] ?? 0) + ms;
  }
  return stages;
}
