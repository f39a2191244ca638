/**
 * /history: sessions out as a file, and files in. An export is read page by page from the session's object as it is sent; an import goes
 * to Postgres, where a session without an object is read from. Refuses a file over 8 MiB, and one that it does not know.
 */
import type { Importer } from "../../../contracts/archive.ts";
import { AppError, type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import type { MessagePage, MessageView, SessionView } from "../../../contracts/sessions.ts";
import { SessionPath } from "../../../contracts/params.ts";
import { EXPORT_VERSION, ExportQuery, ImportReport, type SessionLine } from "../../../contracts/transfer.ts";
import { readChatGpt } from "../history/chatgpt.ts";
import { EXPORTERS } from "../history/export.ts";
import { writeImport } from "../history/import.ts";
import { readOwnFormat } from "../history/own-format.ts";
import type { Reading } from "../history/reading.ts";
import { decode, parseJson, readUpload } from "../http/body.ts";
import { asker, type Route, route } from "../http/route.ts";
import type { SendToSession } from "./start-turn.ts";

export interface TransferRoutesDeps {
  importer: Importer;
  send: SendToSession;
}

/** Messages of one request to the object: few enough that a page of long ones fits into memory several times. */
const PAGE = 100;
const EXPORT_FAILS: ErrorCode[] = ["not_found", "overloaded", "db_timeout", "db_unavailable"];
/** By format: media type and the ending of the file's name. */
const FORMS = {
  jsonl: { type: "application/x-ndjson", ending: "jsonl" },
  markdown: { type: "text/markdown; charset=utf-8", ending: "md" },
};

const MAX_IMPORT_BYTES = 8 * 1024 * 1024;
const OWN = "application/x-ndjson";
const CHATGPT = "application/json";

export function transferRoutes(deps: TransferRoutesDeps): Route[] {
  return [exportRoute(deps), importRoute(deps)];
}

function exportRoute({ send }: TransferRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: "/history/sessions/{session_id}/export", access: "user", params: SessionPath },
      ...{ query: ExportQuery, answers: { 200: ["application/x-ndjson", "text/markdown"] }, fails: EXPORT_FAILS },
      summary: "A session as a file: JSON Lines of all branches, or Markdown of the branch that it goes on from",
      description:
        "In JSON Lines the first line is the session, then each message is a line, oldest first; `POST /history/import` takes it back. " +
        "A connection that breaks before its end is an export that is not whole.",
    },
    async (call) => {
      const { session_id: sessionId } = call.params;
      const { format } = call.query;
      const ask = (after: number): Promise<Response> =>
        send(sessionId, { kind: "messages", sessionId, after, limit: PAGE, ...asker(call) });
      const [viewed, listed] = await Promise.all([
        send(sessionId, { kind: "view", sessionId, ...asker(call) }),
        ask(0),
      ]);
      const refused = [viewed, listed].find((response) => !response.ok);
      if (refused !== undefined) return refused;
      const pages = pagesFrom(await listed.json<MessagePage>(), ask);
      const { type, ending } = FORMS[format];
      return new Response(toStream(EXPORTERS[format](toLine(await viewed.json<SessionView>()), pages)), {
        headers: {
          "content-type": type,
          "content-disposition": `attachment; filename="basechat-${sessionId}.${ending}"`,
        },
      });
    },
  );
}

function toLine({ turn: _turn, message_count: _count, ...session }: SessionView): SessionLine {
  return { type: "session", version: EXPORT_VERSION, ...session };
}

async function* pagesFrom(
  first: MessagePage,
  ask: (after: number) => Promise<Response>,
): AsyncGenerator<MessageView[]> {
  let page = first;
  for (;;) {
    yield page.messages;
    if (page.next_after === null) return;
    const response = await ask(page.next_after);
    // The reply has begun: breaking it is all that is left to say so.
    if (!response.ok) throw new AppError("overloaded", "the session could not be read to its end");
    page = await response.json<MessagePage>();
  }
}

/** Made piece by piece as the reader takes them; when the reader leaves, no more are made. */
function toStream(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      let piece = await pieces.next();
      while (piece.done !== true && piece.value === "") piece = await pieces.next();
      if (piece.done === true) controller.close();
      else controller.enqueue(encoder.encode(piece.value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}

function importRoute({ importer }: TransferRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/history/import", access: "user", body: "raw", bodyType: OWN },
      ...{ answers: { 200: ImportReport } },
      fails: ["invalid_json", "invalid_request", "payload_too_large", "unsupported_media_type", "not_configured"],
      summary: "Takes in an export of ours, or of ChatGPT; the same file again adds nothing",
      description:
        `As \`${OWN}\`: exports of ours, one after another. As \`${CHATGPT}\`: \`conversations.json\` of a ChatGPT export. ` +
        "8 MiB at most. `warnings` counts what is not in, or not to the letter.",
    },
    async ({ raw, user }) => {
      const reading = await readFile(raw, user.id);
      return Response.json(orThrow(await writeImport(importer, user.id, reading)));
    },
  );
}

/** The file's text ends here: it is large, and what is read of it is as large again. */
async function readFile(raw: Request, userId: string): Promise<Reading> {
  const { type, bytes } = await readUpload(raw, [OWN, CHATGPT], MAX_IMPORT_BYTES);
  const text = decode(bytes);
  return type === OWN ? readOwnFormat(text, userId) : readChatGpt(parseJson(text), userId);
}
