/**
 * The least that a first turn's hit could be: a Worker that makes an object, writes a row there, asks Redis once, writes another and answers.
 * For benchmarks, beside a house: what this machine takes for it is no fault of the code. State: a process of its own, until `close()`.
 */
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

const SCRIPT = `
import { DurableObject } from "cloudflare:workers";
export class BareObject extends DurableObject {
  async fetch(request) {
    const { sql } = this.ctx.storage;
    const { REDIS: redis, TOKEN: token } = this.env;
    const headers = { authorization: "Bearer " + token };
    const read = fetch(redis, { method: "POST", headers, body: '["GET","basechat:purges"]' });
    sql.exec("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)");
    sql.exec("INSERT INTO rows (text) VALUES (?)", await request.text());
    const text = await (await read).text();
    sql.exec("INSERT INTO rows (text) VALUES (?)", text);
    return new Response(text);
  }
}
export default {
  fetch(request, { OBJECTS: objects }) {
    return objects.get(objects.newUniqueId()).fetch(request);
  },
};`;

export async function openBare(redisUrl: string, token: string): Promise<{ url: URL; close(): Promise<void> }> {
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      ...{ modules: true, script: SCRIPT, compatibilityDate: "2026-10-01", compatibilityFlags: ["nodejs_compat"] },
      durableObjects: { OBJECTS: { className: "BareObject", useSQLite: true } },
      bindings: { REDIS: redisUrl, TOKEN: token },
    }),
  );
  return { url: await runtime.ready, close: () => runtime.dispose() };
}
