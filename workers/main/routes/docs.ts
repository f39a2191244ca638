/**
 * /openapi.json and /docs: the API's document as data and as a page. State: the document's text, made once from the routes
 * when it is first asked for. The page's files are static assets; nothing is loaded from another host, and no inline script runs.
 */
import * as z from "zod";
import { AppError } from "../../../contracts/errors.ts";
import { describeApi } from "../http/openapi.ts";
import { openRoute, type Route, type TextType } from "../http/route.ts";

export interface DocsRoutesDeps {
  /** A file of the page, by its path below public/. */
  readAsset(path: string): Promise<Response>;
}

/** Files beside the page, with what they are. */
const FILES: Record<string, TextType> = {
  "swagger-ui-bundle.js": "text/javascript",
  "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
  "swagger-ui.css": "text/css",
  "start.js": "text/javascript",
};
const FileName = z.strictObject({ file: z.string().regex(/^[\w.-]{1,64}$/) });

const Document = z.looseObject({ openapi: z.string() });

/** The page draws with inline styles and pictures; scripts and requests are this host's alone. */
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:"],
  ...["font-src 'self' data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

/** Long enough to spare a reader's next page, short enough for the next deployment. */
const CACHED = "public, max-age=3600";

export function docsRoutes({ readAsset }: DocsRoutesDeps, others: Route[]): Route[] {
  let document: string | undefined;
  const own: Route[] = [
    openRoute(
      {
        ...{ method: "GET", path: "/openapi.json", tag: "docs", access: "open", answers: { 200: Document } },
        summary: "The API's document, OpenAPI 3.1",
      },
      () => {
        document ??= JSON.stringify(describeApi([...others, ...own]));
        return new Response(document, { headers: { "content-type": "application/json" } });
      },
    ),
    openRoute(
      {
        ...{ method: "GET", path: "/docs", access: "open", answers: { 200: "text/html" } },
        summary: "The API's document as a page, with a form for every route",
      },
      async () => {
        const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY };
        return new Response(await readFile(readAsset, "index.html"), { headers });
      },
    ),
    openRoute(
      {
        ...{ method: "GET", path: "/docs/{file}", access: "open", params: FileName, fails: ["not_found"] },
        ...{ answers: { 200: ["text/javascript", "text/css", "text/plain"] }, summary: "A file of the page" },
      },
      async ({ params: { file } }) => {
        const type = Object.hasOwn(FILES, file) ? FILES[file] : undefined;
        if (type === undefined) throw missing();
        const headers = { "content-type": `${type}; charset=utf-8`, "cache-control": CACHED };
        return new Response(await readFile(readAsset, file), { headers });
      },
    ),
  ];
  return own;
}

async function readFile(readAsset: DocsRoutesDeps["readAsset"], file: string): Promise<ReadableStream | null> {
  const { ok, body } = await readAsset(`/docs/${file}`);
  if (ok) return body;
  await body?.cancel();
  throw missing();
}

function missing(): AppError {
  return new AppError("not_found", "the page has no such file");
}
