/** How an import goes to Postgres: in few requests, whole sessions, and the others in spite of a bad one. */
import { expect, test } from "vitest";
import type { ImportedSession, Importer } from "../../../contracts/archive.ts";
import { fail, ok } from "../../../contracts/errors.ts";
import { writeImport } from "./import.ts";

function session(id: string, contents: string[]): ImportedSession {
  const messages = contents.map((content, index) => ({
    ...{ id: `${id}-${index}`, seq: index + 1, parentId: null, role: "user" as const, content, createdAtMs: 0 },
    ...{ status: "complete" as const, modelUsed: null },
  }));
  const head = { id, title: "", modelType: null, modelName: null, isActive: true, createdAtMs: 0, updatedAtMs: 0 };
  return { session: head, messages, source: "basechat", copyOf: undefined };
}

/** Takes everything but sessions called bad; knows what it has. Request number `failing` fails. */
function createFake(failing?: number) {
  const batches: string[][] = [];
  const known = new Set<string>();
  const importer: Importer = {
    add(_userId, sessions) {
      const ids = sessions.map((one) => one.session.id);
      batches.push(ids);
      if (batches.length === failing) return Promise.resolve(fail("db_unavailable", "away"));
      if (ids.some((id) => id.startsWith("bad"))) return Promise.resolve(fail("invalid_request", "never"));
      const fresh = sessions.filter((one) => !known.has(one.session.id));
      for (const one of fresh) known.add(one.session.id);
      const messages = fresh.reduce((sum, one) => sum + one.messages.length, 0);
      return Promise.resolve(ok({ sessions: fresh.length, messages }));
    },
  };
  return { importer, batches };
}

const reading = (sessions: ImportedSession[]) => ({ sessions, warnings: new Map() });

test("[HIST-7] small sessions share a request, large ones have their own", async () => {
  const { importer, batches } = createFake();
  const large = session("large", ["a".repeat(600_000)]);
  const many = Array.from({ length: 1_000 }, (_, n) => session(`s${n}`, ["a"]));
  const report = await writeImport(importer, "ann", reading([large, ...many]));
  expect(report).toEqual({
    ok: true,
    value: { sessions_imported: 1_001, messages_imported: 1_001, sessions_skipped: 0, warnings: [] },
  });
  expect(batches.map((ids) => ids.length)).toEqual([1, 250, 250, 250, 250]);
});

test("[HIST-7] a session that the database refuses is counted, and the others get in", async () => {
  const { importer } = createFake();
  const sessions = [session("a", ["1"]), session("bad", ["2"]), session("b", ["3", "4"])];
  expect(await writeImport(importer, "ann", reading(sessions))).toEqual({
    ok: true,
    value: {
      ...{ sessions_imported: 2, messages_imported: 3, sessions_skipped: 0 },
      warnings: [{ code: "sessions_refused", count: 1 }],
    },
  });
  expect(await writeImport(importer, "ann", reading(sessions))).toMatchObject({
    value: { sessions_imported: 0, messages_imported: 0, sessions_skipped: 2 },
  });
});

test("[HIST-7] an import that is cut is finished by the same file again", async () => {
  const sessions = Array.from({ length: 600 }, (_, n) => session(`s${n}`, ["a"]));
  const { importer } = createFake(2);
  const failure = { code: "db_unavailable", message: "away" };
  expect(await writeImport(importer, "ann", reading(sessions))).toEqual({ ok: false, error: failure });
  expect(await writeImport(importer, "ann", reading(sessions))).toMatchObject({
    value: { sessions_imported: 350, sessions_skipped: 250 },
  });
});
