/**
 * Takes sessions into Postgres from elsewhere: one statement, so all or nothing. State lives there. Refuses to add to a session that is
 * there already, whoever's it is.
 */
import { sql } from "drizzle-orm";
import type { ImportedSession, Importer } from "../../../contracts/archive.ts";
import { branchFrom } from "../../../contracts/branches.ts";
import { fail, ok } from "../../../contracts/errors.ts";
import type { Residency } from "../../../contracts/ids.ts";
import { readDbFault, type Db } from "../../../db/open.ts";
import { type OnFault, toFailure } from "./faults.ts";
import { placeImported } from "./import-ids.ts";

export function createImporter(db: Db, onFault: OnFault, residency?: Residency): Importer {
  return {
    async add(userId, sessions) {
      try {
        return ok(
          await insertSessions(
            db,
            userId,
            sessions.map((session) => placeImported(session, residency)),
          ),
        );
      } catch (error) {
        const fault = readDbFault(error);
        if (fault.kind !== "values") return toFailure(error, onFault);
        onFault(fault);
        return fail("invalid_request", "a row can never be stored");
      }
    },
  };
}

/** Rows travel as JSON, since their number is not the statement's: it has as many parameters for one as for a thousand. */
async function insertSessions(db: Db, userId: string, sessions: ImportedSession[]) {
  const { rows } = await db.execute<{ sessions: number; messages: number }>(sql`
    with incoming as (
      select * from jsonb_to_recordset(${JSON.stringify(sessions.map(toSession))}::jsonb) as rows (
        id uuid, title text, model_type text, model_name text, is_active boolean,
        created_at timestamptz, updated_at timestamptz, copy_of uuid)
    ), added as (
      insert into chat_sessions (id, user_id, title, model_type, model_name, is_active, created_at, updated_at)
      select id, ${userId}::uuid, title, model_type, model_name, is_active, created_at, updated_at from incoming
      where (
        select id from chat_sessions as original where original.id = copy_of and original.user_id = ${userId}::uuid) is null
      on conflict do nothing returning id
    ), filled as (
      insert into messages
        (id, session_id, user_id, seq, parent_id, branch_from, role, content, status, model_used, meta_info, created_at)
      select rows.id, session_id, ${userId}::uuid, seq, parent_id, branch_from, role, content, status, model_used,
        meta_info, created_at
      from jsonb_to_recordset(${JSON.stringify(sessions.flatMap(toMessages))}::jsonb) as rows (
        id uuid, session_id uuid, seq integer, parent_id uuid, branch_from integer, role text, content text, status text, model_used text,
        meta_info jsonb, created_at timestamptz)
      join added on added.id = session_id
      returning 1
    )
    select (select count(*) from added)::int4 as sessions, (select count(*) from filled)::int4 as messages`);
  return rows[0] ?? { sessions: 0, messages: 0 };
}

function toSession({ session, copyOf }: ImportedSession) {
  const { id, title, modelType, modelName, isActive, createdAtMs, updatedAtMs } = session;
  return {
    ...{ id, title, model_type: modelType, model_name: modelName, is_active: isActive, copy_of: copyOf },
    created_at: new Date(createdAtMs).toISOString(),
    updated_at: new Date(updatedAtMs).toISOString(),
  };
}

function toMessages({ session, messages, source }: ImportedSession) {
  const places = new Map<string | null, number>(messages.map(({ id, seq }) => [id, seq]));
  return messages.map(({ id, seq, parentId, role, content, status, modelUsed, createdAtMs }, at) => ({
    ...{ id, session_id: session.id, seq, parent_id: parentId, role, content, status, model_used: modelUsed },
    branch_from: branchFrom(places.get(parentId) ?? null, messages[at - 1]?.seq ?? 0),
    meta_info: { imported_from: source },
    created_at: new Date(createdAtMs).toISOString(),
  }));
}
