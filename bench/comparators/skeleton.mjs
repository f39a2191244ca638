/**
 * The same work as a chat, written by hand without any framework, as the practical limit: a Durable Object a session, one Redis read beside
 * one transaction before the model is asked, the stream read once, told on and kept, one transaction and one Redis write at its end.
 * State: the object's SQLite. No account, no tools, no resume, no checks: it measures, and serves nobody.
 */
import { DurableObject } from "cloudflare:workers";

// oxlint-disable-next-line import/no-default-export -- a Worker is its module's default export
export default {
  fetch(request, { SESSIONS }) {
    return SESSIONS.get(SESSIONS.newUniqueId()).fetch(request);
  },
};

export class Session extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
  }

  async fetch(request) {
    const { prompt, model } = await request.json();
    const cached = this.redis(["MGET", `skeleton:${prompt}`, "skeleton:stamp"]);
    this.ctx.storage.transactionSync(() => {
      this.sql.exec("CREATE TABLE IF NOT EXISTS messages (seq INTEGER PRIMARY KEY, role TEXT, content TEXT)");
      this.sql.exec("CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, events TEXT)");
      this.sql.exec("INSERT INTO messages (role, content) VALUES ('user', ?)", prompt);
    });
    await cached;
    const upstream = await fetch(this.env.MODEL_URL, {
      method: "POST",
      headers: { authorization: `Bearer ${this.env.MODEL_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: prompt }] }),
    });
    const { readable, writable } = new IdentityTransformStream();
    this.ctx.waitUntil(this.tell(upstream.body, writable.getWriter(), prompt));
    return new Response(readable, { headers: { "content-type": "text/event-stream" } });
  }

  async tell(body, writer, prompt) {
    const encoder = new TextEncoder();
    let [text, said, kept, id] = ["", "", "", 0];
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const frames = text.split("\n\n");
      text = frames.pop();
      let out = "";
      for (const frame of frames) {
        if (frame === "data: [DONE]") continue;
        const content = JSON.parse(frame.slice(6)).choices[0]?.delta.content;
        if (!content) continue;
        said += content;
        out += `id: ${(id += 1)}\nevent: delta\ndata: ${JSON.stringify({ content })}\n\n`;
      }
      kept += out;
      if (out !== "") await writer.write(encoder.encode(out));
    }
    this.ctx.storage.transactionSync(() => {
      this.sql.exec("INSERT INTO log (events) VALUES (?)", kept);
      this.sql.exec("INSERT INTO messages (role, content) VALUES ('assistant', ?)", said);
    });
    await writer.write(encoder.encode("event: done\ndata: {}\n\n"));
    await writer.close();
    await this.redis(["SET", `skeleton:${prompt}`, said, "EX", 3600]);
  }

  async redis(command) {
    const headers = { authorization: `Bearer ${this.env.REDIS_TOKEN}` };
    const reply = await fetch(this.env.REDIS_URL, { method: "POST", headers, body: JSON.stringify(command) });
    return reply.json();
  }
}
