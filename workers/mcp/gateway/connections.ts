/**
 * The connections to remote servers: an exchange, and whether a server still says what was accepted. State: sessions, and when a list was last
 * looked at, bounded plain data of an isolate. Refuses to ask a server whose credentials cannot be read.
 */
import { listRemote, type Remote, type RemoteOptions, type RemoteSession } from "../protocol/remote.ts";
import type { Fetch } from "../web/read.ts";
import type { Breaker } from "./breaker.ts";
import { toOfferedList } from "./offered.ts";
import { keyOf, type OfferedList, type RemoteServer } from "./server.ts";
import type { Vault } from "./secret.ts";

const LOOKED_FOR_MS = 60_000;
const MAX_KEPT = 200;

export interface ConnectionsDeps {
  fetch: Fetch;
  vault: Vault | undefined;
  breaker: Breaker;
  now: () => number;
}

export interface Connections {
  /** One exchange with a server, noted by the breaker. */
  exchange<T>(
    server: RemoteServer,
    signal: AbortSignal,
    ask: (options: RemoteOptions) => Promise<Remote<T>>,
  ): Promise<Remote<T>>;
  /** What a server offers now. */
  look(server: RemoteServer, signal: AbortSignal): Promise<Remote<OfferedList>>;
  /** The list that differs from the accepted one; undefined: none does, as far as a minute ago. */
  findChange(server: RemoteServer, signal: AbortSignal): Promise<Remote<OfferedList> | undefined>;
}

interface Known {
  session?: RemoteSession;
  lookedAtMs?: number;
}

export function createConnections(deps: ConnectionsDeps): Connections {
  const known = new Map<string, Known>();
  const knownOf = (server: RemoteServer): Known => {
    const key = keyOf(server);
    if (known.size >= MAX_KEPT) known.clear();
    const found = known.get(key) ?? {};
    known.set(key, found);
    return found;
  };
  const connections: Connections = {
    async exchange(server, signal, ask) {
      const headers = await openHeaders(server, deps.vault);
      if (headers === undefined) return { ok: false, why: "unreachable" };
      const kept = knownOf(server);
      const answer = await ask({ url: server.url, headers, fetch: deps.fetch, signal, session: kept.session });
      // A caller who left says nothing of the server.
      if (!answer.ok && isCancelled(signal)) return answer;
      if (answer.ok) kept.session = answer.session;
      else delete kept.session;
      deps.breaker.note(keyOf(server), answer.ok || answer.why === "refused");
      return answer;
    },
    async look(server, signal) {
      const said = await connections.exchange(server, signal, listRemote);
      if (!said.ok) return said;
      const { name, allowed, trusted } = server;
      return { ...said, value: await toOfferedList(said.value, { server: name, allowed, trusted }) };
    },
    async findChange(server, signal) {
      const kept = knownOf(server);
      if (deps.now() - (kept.lookedAtMs ?? 0) < LOOKED_FOR_MS) return undefined;
      const list = await connections.look(server, signal);
      if (!list.ok || list.value.hash !== server.accepted.hash) return list;
      kept.lookedAtMs = deps.now();
      return undefined;
    },
  };
  return connections;
}

/** Aborted, and not for lateness. */
function isCancelled({ aborted, reason }: AbortSignal): boolean {
  return aborted && !(reason instanceof DOMException && reason.name === "TimeoutError");
}

/** Undefined: they cannot be read, so the server is not asked without them. */
async function openHeaders({ secret, name }: RemoteServer, vault: Vault | undefined) {
  return secret === "" ? {} : vault?.open(secret, name);
}
