/**
 * Remote servers that join and leave: main's questions about them, answered. No state. Refuses a server that does not tell its tools, one
 * that is not on the public network, and headers that could not be kept secret.
 */
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { NewServer, ServerView, Toolbox } from "../../../contracts/toolbox.ts";
import type { CallContext } from "../../../contracts/tools.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type OfferedList, type RemoteServer, toView } from "../gateway/server.ts";
import type { Vault } from "../gateway/secret.ts";
import type { LogLine } from "../run.ts";
import { isPublicName } from "../web/address.ts";
import type { ServerChange, Snapshot } from "./object.ts";
import type { Snapshots } from "./snapshots.ts";

const LOOK_TIMEOUT_MS = 10_000;

export interface ServersDeps {
  gateway: Gateway;
  vault: Vault | undefined;
  snapshots: Snapshots;
  toolbox: {
    snapshot(): Promise<Snapshot>;
    addServer(server: RemoteServer): Promise<ServerChange>;
    setPending(name: string, list: OfferedList): Promise<ServerChange>;
    accept(name: string, hash: string): Promise<ServerChange>;
    removeServer(name: string): Promise<ServerChange>;
  };
  now: () => number;
  log: (line: LogLine) => void;
}

type ServerAnswers = Pick<Toolbox, "addServer" | "listServers" | "checkServer" | "acceptServer" | "removeServer">;

export function createServerAnswers(deps: ServersDeps): ServerAnswers {
  const { gateway, toolbox, now } = deps;
  const find = async (name: string) => (await toolbox.snapshot()).servers.find((server) => server.name === name);
  const settle = (change: ServerChange, name: string, audit: { by: CallContext; what: string }): Result<ServerView> => {
    if (!change.ok) return failureOf(change.why);
    deps.snapshots.put(change.snapshot);
    const { requestId, userId } = audit.by;
    deps.log({ service: "mcp", request_id: requestId, audit: audit.what, user_id: userId, server: name });
    const server = change.snapshot.servers.find((one) => one.name === name);
    return server ? ok(toView(server)) : failureOf("missing");
  };

  return {
    async addServer(asked, by) {
      const server = await prepare(asked, deps);
      if (!server.ok) return server;
      const list = await gateway.look(server.value, AbortSignal.timeout(LOOK_TIMEOUT_MS));
      if (!list.ok) return fail("upstream_error", "the server did not tell its tools");
      const change = await toolbox.addServer({ ...server.value, accepted: list.value });
      return settle(change, asked.name, { by, what: "server_added" });
    },
    listServers: async () => (await toolbox.snapshot()).servers.map(toView),
    async checkServer(name, by) {
      const server = await find(name);
      if (server === undefined) return failureOf("missing");
      const askedAtMs = now();
      const list = await gateway.look(server, AbortSignal.timeout(LOOK_TIMEOUT_MS));
      const found = { reachable: list.ok, latency_ms: now() - askedAtMs };
      if (!list.ok) return ok({ ...found, server: toView(server) });
      const known = server.pending?.hash ?? server.accepted.hash;
      if (list.value.hash === known) return ok({ ...found, server: toView(server) });
      const changed = settle(await toolbox.setPending(name, list.value), name, { by, what: "server_changed" });
      return changed.ok ? ok({ ...found, server: changed.value }) : changed;
    },
    acceptServer: async (name, hash, by) =>
      settle(await toolbox.accept(name, hash), name, { by, what: "server_accepted" }),
    async removeServer(name, { requestId, userId }) {
      const change = await toolbox.removeServer(name);
      if (!change.ok) return failureOf(change.why);
      deps.snapshots.put(change.snapshot);
      deps.log({ service: "mcp", request_id: requestId, audit: "server_removed", user_id: userId, server: name });
      return ok(undefined);
    },
  };
}

function failureOf(why: Exclude<ServerChange, { ok: true }>["why"]): Result<never> {
  if (why === "missing") return fail("not_found", "there is no such server");
  if (why === "taken") return fail("conflict", "there is a server of this name");
  if (why === "too_many") return fail("conflict", "there are too many servers, or too many tools of theirs");
  return fail("conflict", "the server's list is not the one that was looked at");
}

const NOTHING: OfferedList = { hash: "", tools: [], refused: [] };

async function prepare(asked: NewServer, { vault, now }: ServersDeps): Promise<Result<RemoteServer>> {
  const { username, password, hostname, hash, search, port } = new URL(asked.url);
  // What is written into an address is stored and shown as it is.
  if (!isPublicName(hostname) || [username, password, hash, search, port].some((part) => part !== "")) {
    return fail(
      "invalid_request",
      "the server must be on the public network, and its address without a port, a query or credentials",
    );
  }
  const headerNames = Object.keys(asked.headers);
  if (headerNames.length > 0 && vault === undefined) {
    return fail("not_configured", "headers cannot be kept secret: SECRET_KEY is missing");
  }
  const secret = headerNames.length === 0 ? "" : ((await vault?.seal(asked.headers, asked.name)) ?? "");
  return ok({
    ...{ name: asked.name, url: asked.url, secret, headerNames, allowed: asked.allowed_tools },
    ...{ timeLimitMs: asked.time_limit_ms, trusted: asked.trusted, accepted: NOTHING, createdAtMs: now() },
  });
}
