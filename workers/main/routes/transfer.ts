/**
 * /history: sessions out as a file, and files in. An export is read page by page from the session's object as it is sent; an import goes
 * to Postgres, where a session without an object is read from. Refuses a file over 8 MiB, and one that it does not know.
 */
import type { Importer } from "../../../contracts/archive.ts";
import { ImportReport } from "../../../contracts/transfer.ts";
import { readChatGpt } from "../history/chatgpt.ts";
import { writeImport } from "../history/import.ts";
import { readOwnFormat } from "../history/own-format.ts";
import { parseJson, readUpload } from "../http/body.ts";
import { type Route, route } from "../http/route.ts";
import { orThrow } from "./users.ts";

export interface TransferRoutesDeps {
  importer: Importer;
}

const MAX_IMPORT_BYTES = 8 * 1024 * 1024;
const OWN = "application/x-ndjson";
const CHATGPT = "application/json";

export function transferRoutes(deps: TransferRoutesDeps): Route[] {
  return [importRoute(deps)];
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
      const { type, text } = await readUpload(raw, [OWN, CHATGPT], MAX_IMPORT_BYTES);
      const reading = type === OWN ? readOwnFormat(text, user.id) : readChatGpt(parseJson(text), user.id);
      return Response.json(orThrow(await writeImport(importer, user.id, reading)));
    },
  );
}
