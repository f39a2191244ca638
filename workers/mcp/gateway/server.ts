/**
 * A remote server as it is stored and shown. Pure. Its tools are known by the list that an admin has accepted; a list that differs is kept
 * beside it until somebody accepts that one.
 */
import type { ServerView } from "../../../contracts/toolbox.ts";
import type { ToolDefinition } from "../../../contracts/tools.ts";

/** A list as it was offered, under our names, and the hash of what the server said. */
export interface OfferedList {
  hash: string;
  tools: ToolDefinition[];
  /** Names of tools that are not taken: their definitions could mislead, or do not fit. */
  refused: string[];
}

export interface RemoteServer {
  name: string;
  url: string;
  /** Encrypted; "": there are none. */
  secret: string;
  /** Names of the headers, to be shown. */
  headerNames: string[];
  /** The server's own names; none: all. */
  allowed: string[];
  timeLimitMs: number;
  trusted: boolean;
  accepted: OfferedList;
  /** Another list than the accepted one: until it is accepted, no tool of the server is open. */
  pending?: OfferedList;
  createdAtMs: number;
}

const SEPARATOR = "__";

export function ourName(server: string, tool: string): string {
  return `${server}${SEPARATOR}${tool}`;
}

/** Undefined: it is no name of a remote server's tool. */
export function splitName(name: string): { server: string; tool: string } | undefined {
  const at = name.indexOf(SEPARATOR);
  return at <= 0 ? undefined : { server: name.slice(0, at), tool: name.slice(at + SEPARATOR.length) };
}

/** Another registration of the same name is another server. */
export function keyOf({ name, createdAtMs }: RemoteServer): string {
  return `${name} ${createdAtMs}`;
}

export function toView(server: RemoteServer): ServerView {
  const shown = ({ hash, tools, refused }: OfferedList) => ({
    hash,
    tools: tools.map(({ name, description, inputSchema }) => ({ name, description, input_schema: inputSchema })),
    refused,
  });
  return {
    ...{ name: server.name, url: server.url, header_names: server.headerNames, allowed_tools: server.allowed },
    ...{ time_limit_ms: server.timeLimitMs, trusted: server.trusted, status: server.pending ? "changed" : "ready" },
    ...{ accepted: shown(server.accepted), pending: server.pending ? shown(server.pending) : null },
    created_at: new Date(server.createdAtMs).toISOString(),
  };
}
