/**
 * Which Worker goes back to which version, and how many migrations with it. Pure. Only Workers of the newest release go back, so a
 * deployment that broke off half-way is taken back by the half that was done. Refuses what leaves code on a schema that it does not know.
 */
import * as z from "zod";
import { readRelease, type Release } from "./deployment.ts";

export interface Version {
  id: string;
  release: Release | undefined;
}

export interface WorkerVersions {
  name: string;
  config: string;
  /** As they served everyone, the newest first; never the same twice in a row. */
  versions: Version[];
}

export interface Move extends Pick<WorkerVersions, "name" | "config"> {
  to: Version;
}

export type RollbackPlan =
  | { ok: true; moves: Move[]; staying: string[]; migrationsDown: number }
  | { ok: false; problem: string };

interface Schema {
  /** Migrations in the database; undefined: nobody looked. */
  applied: number | undefined;
  schemaDown: boolean;
}

export function planRollback(workers: readonly WorkerVersions[], schema: Schema): RollbackPlan {
  const newest =
    workers
      .map(({ versions }) => versions[0]?.release?.id ?? "")
      .toSorted()
      .at(-1) ?? "";
  const isLeaving = ({ versions }: WorkerVersions) => (versions[0]?.release?.id ?? "") === newest;
  const leaving = workers.filter(isLeaving);
  // After a rollback the newest version that served before is the one that was left: it is passed over.
  const isOlder = ({ release }: Version) => release === undefined || release.id < newest;
  const moves = leaving.flatMap(({ name, config, versions }) => {
    const to = versions.slice(1).find(isOlder);
    return to === undefined ? [] : [{ name, config, to }];
  });
  if (leaving.length === 0 || moves.length < leaving.length) return refuse("A Worker has no version before this one.");
  const staying = workers.filter((worker) => !isLeaving(worker));
  const running = [...moves.map(({ to }) => to), ...staying.map(({ versions }) => versions[0])];
  const known = running.map((version) => version?.release?.schema);
  const needed = Math.max(...known.map((version) => version ?? 0));
  const { applied, schemaDown } = schema;
  if (applied !== undefined && applied < needed) {
    return refuse(
      `The older code needs schema ${needed}, the database has ${applied}: run npm run db:up with that code first.`,
    );
  }
  if (schemaDown && applied === undefined) return refuse("--schema-down needs DATABASE_URL in the environment.");
  if (schemaDown && known.includes(undefined)) {
    return refuse(
      "Which schema the older code knows is not told by its version's message, so none is taken back: leave out --schema-down.",
    );
  }
  const migrationsDown = schemaDown && applied !== undefined ? applied - needed : 0;
  return { ok: true, moves, staying: staying.map(({ name }) => name), migrationsDown };
}

const refuse = (problem: string): RollbackPlan => ({ ok: false, problem });

/** What is read of wrangler's lists. */
const Deployments = z.array(
  z.object({ created_on: z.string(), versions: z.array(z.object({ version_id: z.string(), percentage: z.number() })) }),
);
const Versions = z.array(z.object({ id: z.string(), annotations: z.record(z.string(), z.unknown()).nullish() }));

/** From `wrangler deployments list` and `versions list`; a deployment that was split between versions is passed over. */
export function readVersions(deployments: unknown, versions: unknown): Version[] {
  const messages = new Map(
    Versions.parse(versions).map(({ id, annotations }) => [id, annotations?.["workers/message"]]),
  );
  const served = Deployments.parse(deployments)
    .toSorted((one, other) => other.created_on.localeCompare(one.created_on))
    .flatMap(({ versions: parts }) =>
      parts.filter(({ percentage }) => percentage === 100).map(({ version_id }) => version_id),
    );
  return served
    .filter((id, at) => id !== served[at - 1])
    .map((id) => ({ id, release: readRelease(String(messages.get(id) ?? "")) }));
}
