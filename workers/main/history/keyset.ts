/**
 * Pages by key instead of by offset: a page costs the same wherever it is, and rows that come or go meanwhile shift nothing. No state.
 */
import { and, type Column, desc, eq, type SQL, sql } from "drizzle-orm";
import type { Page, PageOf, Position } from "../../../contracts/archive.ts";

interface Dated {
  createdAt: Column;
  id: Column;
}

/** The user's rows below the page's beginning. */
export function ownBelow(table: Dated & { userId: Column }, { userId, after }: PageOf): SQL | undefined {
  return and(eq(table.userId, userId), after && isBelow(table, after));
}

/** One comparison of rows, since an index serves that and not its two halves. */
function isBelow({ createdAt, id }: Dated, after: Position): SQL {
  const at = new Date(after.atMs).toISOString();
  return sql`(${createdAt}, ${id}) < (${at}::timestamptz, ${after.id}::uuid)`;
}

export function newestFirst({ createdAt, id }: Dated): [SQL, SQL] {
  return [desc(createdAt), desc(id)];
}

/** A page from what was read for it, which is one more than fits where there is another page. */
export function toPage<T>(read: T[], limit: number, positionOf: (item: T) => Position): Page<T> {
  const items = read.slice(0, limit);
  const last = items.at(-1);
  return { items, next: read.length > limit && last !== undefined ? positionOf(last) : undefined };
}
