/**
 * A file of secrets, parted by Worker: each is given what it reads and no more. State: a temporary folder of the owner's alone, until
 * `remove()`. Refuses a name that no Worker reads, and tells names only.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { readersOf, WORKER_NAMES, type WorkerName } from "./settings-table.ts";

export interface SecretFiles {
  /** A Worker that reads nothing of the file has none. */
  paths: Partial<Record<WorkerName, string>>;
  remove(): Promise<void>;
}

export async function splitSecrets(file: string): Promise<SecretFiles> {
  const values = Object.entries(parseEnv(await readFile(file, "utf8"))).filter(([, value]) => value !== "");
  const unknown = values.map(([name]) => name).filter((name) => readersOf(name).length === 0);
  if (unknown.length > 0) throw new Error(`${file}: no Worker reads ${unknown.join(", ")}`);
  const folder = await mkdtemp(join(tmpdir(), "basechat-secrets-"));
  const paths: SecretFiles["paths"] = {};
  for (const worker of WORKER_NAMES) {
    const own = values.filter(([name]) => readersOf(name).includes(worker));
    if (own.length === 0) continue;
    paths[worker] = join(folder, `${worker}.json`);
    await writeFile(paths[worker], JSON.stringify(Object.fromEntries(own)), { mode: 0o600 });
  }
  return { paths, remove: () => rm(folder, { recursive: true }) };
}
