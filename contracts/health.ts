/** What the routes of health tell. Pure. Names of settings, states, times and numbers; never a value of a setting, a version or an address. */
import * as z from "zod";
import { LlmHealth } from "./direct.ts";
import { HistoryHealth } from "./history.ts";

const State = z.enum(["healthy", "degraded", "unhealthy"]);

/** It runs. `degraded`: settings of it are missing or malformed; a feature is closed. */
export const Liveness = z.strictObject({ status: z.enum(["healthy", "degraded"]), configuration: z.array(z.string()) });

/** Whether it can serve, for everyone. */
export const Readiness = z.strictObject({ status: State });

/** Which parts can, for those who look after it. */
export const ReadinessDetails = z
  .strictObject({
    status: State,
    /** A part that did not say in time is `unhealthy`. */
    dependencies: z.record(z.string(), z.strictObject({ status: State, latency_ms: z.number() })),
    /** The number of the last migration found in Postgres (null: it did not say), and the one that this code expects. */
    schema: HistoryHealth.shape.schema,
    dead_letters: HistoryHealth.shape.dead_letters,
    outbox: HistoryHealth.shape.outbox,
    /** By what they guard: isolates that know of an open one; null: that could not be asked for. */
    breakers: z.record(z.string(), z.number()).nullable(),
    providers: LlmHealth.shape.providers,
    configuration: z.array(z.string()),
  })
  .meta({ id: "ReadinessDetails" });
export type ReadinessDetails = z.infer<typeof ReadinessDetails>;
