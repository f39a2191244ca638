/**
 * The stores of one Postgres, opened when they are needed. No state. Without DATABASE_URL each of them answers that it is missing.
 */
import type { UserStore } from "../../../contracts/accounts.ts";
import type { Archive, Importer } from "../../../contracts/archive.ts";
import { fail } from "../../../contracts/errors.ts";
import type { Residency } from "../../../contracts/ids.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { Ledger } from "../../../contracts/ledger.ts";
import { openDb } from "../../../db/open.ts";
import { createArchive } from "./archive.ts";
import type { OnFault } from "./faults.ts";
import { createImporter } from "./importer.ts";
import { createLedger } from "./ledger.ts";
import type { QuestionIndex } from "../../../contracts/vectors.ts";
import { createQuestionIndex } from "./questions.ts";
import { createHistoryStore } from "./store.ts";
import { createUserStore } from "./users.ts";

const TIMEOUT_MS = 5_000;
/** What Postgres may work on a search or on statistics: its refusal still arrives. */
const WORK_MS = 4_500;
/** A batch of an import is large, and nobody waits for a token. */
const IMPORT_TIMEOUT_MS = 30_000;

export interface StoresOptions {
  databaseUrl: string | undefined;
  httpUrl: string | undefined;
  now: () => number;
  onFault: OnFault;
  /** Of sessions that are imported. */
  residency: Residency | undefined;
}

export interface Stores {
  users(): UserStore;
  history(): HistoryStore;
  archive(): Archive;
  importer(): Importer;
  ledger(): Ledger;
  questions(): QuestionIndex;
}

export function openStores({ databaseUrl, httpUrl, now, onFault, residency }: StoresOptions): Stores {
  if (databaseUrl === undefined) {
    return {
      users: () => unconfigured("users") as UserStore,
      history: () => unconfigured("the history") as HistoryStore,
      archive: () => unconfigured("the history") as Archive,
      importer: () => unconfigured("the history") as Importer,
      ledger: () => unconfigured("the history") as Ledger,
      questions: () => unconfigured("the index of questions") as QuestionIndex,
    };
  }
  const open = (timeoutMs: number) => openDb({ databaseUrl, httpUrl, timeoutMs });
  return {
    users: () => createUserStore(open(TIMEOUT_MS), onFault),
    history: () => createHistoryStore(open(TIMEOUT_MS), { now, onFault }),
    archive: () => createArchive(open(TIMEOUT_MS), { onFault, workTimeoutMs: WORK_MS }),
    importer: () => createImporter(open(IMPORT_TIMEOUT_MS), onFault, residency),
    ledger: () => createLedger(open(TIMEOUT_MS), onFault),
    questions: () => createQuestionIndex(open(TIMEOUT_MS), onFault),
  };
}

/** In place of a store whose members all are functions that give a Result. */
function unconfigured(what: string): object {
  const answer = () => Promise.resolve(fail("not_configured", `not configured: ${what} (DATABASE_URL)`));
  return new Proxy({}, { get: () => answer });
}
