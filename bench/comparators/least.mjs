/**
 * The least that a first turn's hit could be: a Worker that makes an object, writes a row there, asks Redis once, writes another and answers.
 * State: the object's SQLite. It measures, and serves nobody.
 */
import { DurableObject } from "cloudflare:workers";
export class BareObject extends DurableObject {
  async fetch(request) {
    const { sql } = this.ctx.storage;
    const { REDIS_URL: url, REDIS_TOKEN: token } = this.env;
    const headers = { authorization: "Bearer " + token };
    const read = fetch(url, { method: "POST", headers, body: '["GET","basechat:purges"]' });
    sql.exec("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)");
    sql.exec("INSERT INTO rows (text) VALUES (?)", await request.text());
    const text = await (await read).text();
    sql.exec("INSERT INTO rows (text) VALUES (?)", text);
    return new Response(text);
  }
}
// oxlint-disable-next-line import/no-default-export -- a Worker is its module's default export
export default {
  fetch(request, { OBJECTS: objects }) {
    return objects.get(objects.newUniqueId()).fetch(request);
  },
};
