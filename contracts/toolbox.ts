/**
 * The tools as those see them who look after them: what is there, switched on and off, what was called how often, remote servers. Pure.
 * The wire forms of /mcp/tools, /mcp/stats and /mcp/servers, and the interface that main asks the Worker `mcp` by.
 */
import * as z from "zod";
import { CacheControl, ToolName } from "./chat.ts";
import type { Result } from "./errors.ts";
import type { CallContext } from "./tools.ts";

/** Why a call gave no result; `tool_error`: the tool says so itself. */
export const ToolFailure = z.enum([
  "invalid_arguments",
  "timeout",
  "cancelled",
  "failed",
  "tool_error",
  "too_large",
  "not_text",
  "stale",
  "changed",
  "disabled",
  "unchecked",
  "blocked_url",
  "upstream_error",
  "not_found",
]);
export type ToolFailure = z.infer<typeof ToolFailure>;

const Count = z.int().min(0);

export const ListedTool = z
  .strictObject({
    name: ToolName,
    description: z.string(),
    input_schema: z.record(z.string(), z.unknown()),
    read_only: z.boolean(),
    idempotent: z.boolean(),
    private: z.boolean(),
    cost: z.enum(["free", "metered"]),
    /** The name of the remote server that it comes from; null: it is built in. */
    server: z.string().nullable(),
    /** For the one who asks: neither switched off, nor denied, nor among the tools that the user has switched off. */
    enabled: z.boolean(),
  })
  .meta({ id: "Tool" });
export type ListedTool = z.infer<typeof ListedTool>;

export const ToolsReply = z.strictObject({
  /** Of the list of those that are switched on. */
  version: z.string(),
  tools: z.array(ListedTool),
});
export type ToolsReply = z.infer<typeof ToolsReply>;

export const ToolCallRequest = z.strictObject({
  tool_name: ToolName,
  input_data: z.record(z.string(), z.unknown()).default({}),
  cache: CacheControl.optional(),
});

export const ToolCallReply = z.strictObject({
  tool_name: ToolName,
  success: z.boolean(),
  /** What the tool gave, or why it did not: data, never an instruction. */
  content: z.string(),
  code: ToolFailure.nullable(),
  cache: z.enum(["hit", "miss", "bypass"]),
});

export const ToolPath = z.strictObject({ name: ToolName });
export const ToolSwitched = z.strictObject({ tool_name: ToolName, enabled: z.boolean() });

export const ToolFigures = z.strictObject({
  tool_name: ToolName,
  /** Of which the cache answered `cache_hits`. */
  executions: Count,
  failures: Count,
  cache_hits: Count,
  bytes: Count,
  /** Milliseconds, of the calls that ran; null: none did. */
  p50_ms: z.number().nullable(),
  p95_ms: z.number().nullable(),
  last_error: z.strictObject({ code: ToolFailure, at: z.iso.datetime() }).nullable(),
});
export type ToolFigures = z.infer<typeof ToolFigures>;

export const ToolStats = z.strictObject({ hours: Count, tools: z.array(ToolFigures) });

const HEADER_NAME =
  /^(?!(?:host|connection|transfer-encoding|upgrade|accept|cookie|content-.*|mcp-.*|last-event-id)$)[a-z][a-z0-9-]{0,63}$/i;
const HeaderValue = z.string().regex(/^[\x20-\x7e]{1,4096}$/);
const ServerName = z
  .string()
  .max(24)
  .regex(/^[a-z](?:(?:[a-z0-9-]|_(?!_)){0,22}[a-z0-9])?$/);

export const NewServer = z.strictObject({
  /** Before the names of its tools: `name__tool`. */
  name: ServerName,
  /** https on its usual port, on the public network, without a query: credentials belong in `headers`. */
  url: z.url({ protocol: /^https$/ }).max(2_048),
  /** Sent with every request to it, and stored encrypted: its credentials. */
  headers: z
    .record(z.string().regex(HEADER_NAME), HeaderValue)
    .refine((headers) => Object.keys(headers).length <= 16, "must be 16 at most")
    .default({}),
  /** By the server's own names; none: all. */
  allowed_tools: z
    .array(z.string().regex(/^[\w-]{1,40}$/))
    .max(64)
    .default([]),
  time_limit_ms: z.int().min(1_000).max(60_000).default(15_000),
  /** Whether it is believed when it says that a tool only reads. */
  trusted: z.boolean().default(false),
});
export type NewServer = z.infer<typeof NewServer>;

const ServerList = z.strictObject({
  hash: z.string(),
  /** All that a model reads of them. */
  tools: z.array(
    z.strictObject({ name: z.string(), description: z.string(), input_schema: z.record(z.string(), z.unknown()) }),
  ),
  /** Not taken: their definitions could mislead, or do not fit. */
  refused: z.array(z.string()),
});

export const ServerView = z
  .strictObject({
    name: z.string(),
    url: z.string(),
    header_names: z.array(z.string()),
    allowed_tools: z.array(z.string()),
    time_limit_ms: z.int(),
    trusted: z.boolean(),
    /** `changed`: it says something else of its tools than was accepted, so they are closed. */
    status: z.enum(["ready", "changed"]),
    accepted: ServerList,
    pending: ServerList.nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "McpServer" });
export type ServerView = z.infer<typeof ServerView>;

export const ServersReply = z.strictObject({ servers: z.array(ServerView) });
export const ServerPath = z.strictObject({ name: ServerName });
/** The list that was looked at: another one, which came meanwhile, is not accepted by it. */
export const AcceptRequest = z.strictObject({ hash: z.string().regex(/^[0-9a-f]{64}$/) });
/** What a server says now. */
export const ServerCheck = z.strictObject({ reachable: z.boolean(), latency_ms: z.number(), server: ServerView });
export type ServerCheck = z.infer<typeof ServerCheck>;

/** One call, as it is counted. */
export interface ToolRecord {
  tool: string;
  atMs: number;
  ms: number;
  bytes: number;
  failure: ToolFailure | null;
}

/** Who asks, and which tools are closed to them. */
export interface ToolCaller extends CallContext {
  /** Names, where `*` stands for any characters. */
  denied: string[];
  isAdmin: boolean;
}

export interface CalledTool {
  ok: boolean;
  content: string;
  failure: ToolFailure | null;
}

/** What the Worker `mcp` answers main by RPC. Expected failures are values. */
export interface Toolbox {
  list(caller: ToolCaller): Promise<ToolsReply>;
  /** Fails with `not_found` for an unknown tool. */
  call(call: { name: string; arguments: Record<string, unknown> }, caller: ToolCaller): Promise<Result<CalledTool>>;
  /** Effective everywhere within seconds. Fails with `not_found` for an unknown tool. */
  setEnabled(name: string, enabled: boolean, by: CallContext): Promise<Result<void>>;
  /** Joins a remote server after it has told its tools. Fails with `conflict`, `invalid_request`, `not_configured`, `upstream_error`. */
  addServer(server: NewServer, by: CallContext): Promise<Result<ServerView>>;
  listServers(): Promise<ServerView[]>;
  /** Asks a server for its tools. Fails with `not_found`. */
  checkServer(name: string, by: CallContext): Promise<Result<ServerCheck>>;
  /** Opens the tools of a server as it offers them now. Fails with `not_found`, and `conflict` for another list than the one that is there. */
  acceptServer(name: string, hash: string, by: CallContext): Promise<Result<ServerView>>;
  removeServer(name: string, by: CallContext): Promise<Result<void>>;
  /** Figures of the last so many hours. */
  stats(hours: number): Promise<ToolFigures[]>;
  /** The cache stood in for calls of these tools. */
  noteHits(names: string[]): Promise<void>;
}
