/**
 * /mcp/servers: remote servers of the Model Context Protocol, which an admin lets join. Their credentials are taken in and never shown. A
 * server that changes what it says of its tools is closed until its new list is accepted.
 */
import { type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import {
  AcceptRequest,
  NewServer,
  ServerCheck,
  ServerPath,
  ServersReply,
  ServerView,
  type Toolbox,
} from "../../../contracts/toolbox.ts";
import { asker, type Route, route } from "../http/route.ts";
import { reach } from "./tools.ts";

export interface ServersRoutesDeps {
  toolbox: Toolbox;
}

const FAILS: ErrorCode[] = ["overloaded"];
const ONE = { access: "admin", params: ServerPath } as const;

export function serversRoutes({ toolbox }: ServersRoutesDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/mcp/servers", access: "admin", body: NewServer, answers: { 201: ServerView } },
        fails: [...FAILS, "conflict", "not_configured", "upstream_error"],
        summary: "Lets a remote server join, after it has told its tools; accepts them as they are",
      },
      async (call) => {
        const added = orThrow(await reach(() => toolbox.addServer(call.body, asker(call))));
        return Response.json(added, { status: 201 });
      },
    ),
    route(
      {
        ...{ method: "GET", path: "/mcp/servers", access: "admin", answers: { 200: ServersReply }, fails: FAILS },
        summary: "The remote servers that have joined, and what they offer",
      },
      async () => Response.json({ servers: await reach(() => toolbox.listServers()) }),
    ),
    route(
      {
        ...{ ...ONE, method: "POST", path: "/mcp/servers/{name}/check", answers: { 200: ServerCheck } },
        fails: [...FAILS, "not_found"],
        summary: "Asks a server for its tools, and says whether it answers and whether they have changed",
      },
      async (call) => Response.json(orThrow(await reach(() => toolbox.checkServer(call.params.name, asker(call))))),
    ),
    route(
      {
        ...{ ...ONE, method: "POST", path: "/mcp/servers/{name}/accept", body: AcceptRequest },
        ...{ answers: { 200: ServerView }, fails: [...FAILS, "not_found", "conflict"] },
        summary: "Accepts the tools of a server as it offers them now, and opens them",
      },
      async (call) => {
        const accepted = await reach(() => toolbox.acceptServer(call.params.name, call.body.hash, asker(call)));
        return Response.json(orThrow(accepted));
      },
    ),
    route(
      {
        ...{ ...ONE, method: "DELETE", path: "/mcp/servers/{name}", answers: { 204: "empty" } },
        fails: [...FAILS, "not_found"],
        summary: "Lets a server leave, with its tools and its credentials",
      },
      async (call) => {
        orThrow(await reach(() => toolbox.removeServer(call.params.name, asker(call))));
        return new Response(null, { status: 204 });
      },
    ),
  ];
}
