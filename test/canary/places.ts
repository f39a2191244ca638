/** Everything that a house has stored, as text: the rows of Postgres, the entries of Redis, the files of its objects. No state. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { House } from "../house.ts";

export interface Stored {
  /** The table, the key, or the file. */
  place: string;
  text: string;
}

export async function readRows({ sql }: House): Promise<Stored[]> {
  const tables = await sql.query("select table_name from information_schema.tables where table_schema = 'public'");
  const rows = tables.map(async ({ table_name }) => {
    const place = String(table_name);
    const found = await sql.query(`select row_to_json(t)::text as text from "${place}" t`);
    return found.map(({ text }) => ({ place, text: String(text) }));
  });
  return (await Promise.all(rows)).flat();
}

const Reply = z.object({ result: z.unknown() });

export async function readEntries({ redis }: House, token: string): Promise<Stored[]> {
  const run = async (...command: string[]): Promise<unknown> => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(redis.url, { method: "POST", headers, body: JSON.stringify(command) });
    return Reply.parse(await response.json()).result;
  };
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => run("GET", key),
    hash: (key) => run("HGETALL", key),
    set: (key) => run("SMEMBERS", key),
    zset: (key) => run("ZRANGE", key, "0", "-1", "WITHSCORES"),
  };
  const keys: string[] = [];
  let cursor = "0";
  do {
    const [next, page] = z.tuple([z.coerce.string(), z.array(z.string())]).parse(await run("SCAN", cursor));
    keys.push(...page);
    cursor = next;
  } while (cursor !== "0");
  return Promise.all(
    [...new Set(keys)].map(async (key) => {
      const read = readers[z.string().parse(await run("TYPE", key))];
      if (read === undefined) throw new Error(`no way to read ${key}`);
      return { place: key, text: JSON.stringify(await read(key)) };
    }),
  );
}

/** Byte for byte: a word of letters and digits is the same in any coding. */
export async function readFiles(folder: string): Promise<Stored[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    files
      .filter((file) => file.isFile())
      .map(async ({ parentPath, name }) => ({ place: name, text: await readFile(join(parentPath, name), "latin1") })),
  );
}
