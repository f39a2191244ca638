/**
 * Who gets what: one row for every route, with a valid request of the one who owns what it names and the status that each caller gets.
 * Pure. test/matrix.test.ts calls every route as everyone and fails on a route without a row, and on a row without a route.
 */
import { toResponseId } from "../contracts/openai-responses.ts";
import type { CallOptions } from "../dev/house.ts";

/** What a user owns, by the name that a request gives it. */
export interface Ids {
  user_id: string;
  session_id: string;
  turn_id: string;
  /** An answer of the session. */
  message_id: string;
  /** A question of the session. */
  question_id: string;
  key_id: string;
  /** A turn of another session, which waits for a person. */
  waiting_turn_id: string;
}

/** What is not an id of its own: it means something only beside one. */
interface Details {
  /** The call that the waiting turn asks about. */
  call_id: string;
  /** Of a picture in the session. */
  sha256: string;
  email: string;
  password: string;
  refreshToken: string;
  /** Never the same twice. */
  unique: string;
}

export type Owned = Ids & Details;

/** Statuses: of the owner, of another user, and of an admin who owns none of it. */
interface Gets {
  owner: number;
  other: number;
  admin: number;
}

export interface Row {
  gets: Gets;
  /** Left out: the route's own path with what it names. */
  path?(owned: Owned): string;
  body?(owned: Owned): unknown;
  headers?: CallOptions["headers"];
  /** Whoever may call it gets a session, or a user, of his own: it is not the same afterwards. */
  spends?: "session" | "user";
}

/** What is the caller's own in any case, or nobody's. */
const everyone = (status = 200): Gets => ({ owner: status, other: status, admin: status });
const ownerAlone = (status = 200): Gets => ({ owner: status, other: 404, admin: 404 });
const adminsAlone = (status = 200): Gets => ({ owner: 403, other: 403, admin: status });
const ownerAndAdmins = (status = 200): Gets => ({ owner: status, other: 404, admin: status });

/** A turn that costs one small answer, and is never told from the cache. */
const turn = { prompt: "Hello", tools: "none", cache: { mode: "no-store" } } as const;
const answer = { tools: "none" } as const;
const uiQuestion = { id: "q", role: "user", parts: [{ type: "text", text: "Hello" }] };
const hello = {
  ...{ jsonrpc: "2.0", id: 1, method: "initialize" },
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "matrix", version: "1" } },
} as const;
const PROTOCOL = { accept: "application/json, text/event-stream" };

export const MATRIX: Readonly<Record<string, Row>> = {
  "GET /health": { gets: everyone() },
  "GET /health/ready": { gets: everyone() },
  "GET /metrics": { gets: adminsAlone() },

  "POST /auth/login": { gets: everyone(), body: ({ email, password }) => ({ email, password }) },
  "POST /auth/refresh": { gets: everyone(), body: ({ refreshToken }) => ({ refresh_token: refreshToken }) },
  "POST /auth/logout": { gets: everyone(), body: () => ({ everywhere: true }), spends: "user" },
  "GET /auth/me": { gets: everyone() },
  "POST /auth/api-keys": { gets: everyone(201), body: () => ({ name: "Another", scopes: ["account"] }) },
  "GET /auth/api-keys": { gets: everyone() },
  "DELETE /auth/api-keys/{key_id}": { gets: ownerAlone(204), spends: "session" },

  "POST /history/users": {
    gets: everyone(201),
    body: ({ unique }) => ({ username: unique, email: `${unique}@example.test`, password: "a long pass phrase" }),
  },
  "GET /history/users/{user_id}": { gets: ownerAndAdmins() },
  "PATCH /history/users/{user_id}": { gets: ownerAndAdmins(), body: ({ unique }) => ({ username: unique }) },
  "DELETE /history/users/{user_id}": { gets: ownerAndAdmins(), spends: "user" },
  "GET /history/users/{user_id}/preferences": { gets: ownerAndAdmins() },
  "PUT /history/users/{user_id}/preferences": { gets: ownerAndAdmins(), body: () => ({ max_tokens: 100 }) },

  "GET /chat/health": { gets: everyone() },
  "POST /chat": { gets: ownerAlone(), body: ({ session_id }) => ({ ...turn, session_id }) },
  "POST /chat/stream": { gets: ownerAlone(), body: ({ session_id }) => ({ ...turn, session_id }) },
  "POST /chat/sessions/{session_id}/regenerate": {
    gets: ownerAlone(),
    body: ({ message_id }) => ({ ...answer, message_id }),
  },
  "POST /chat/sessions/{session_id}/edit": {
    gets: ownerAlone(),
    body: ({ question_id }) => ({ ...answer, message_id: question_id, prompt: "Hello again" }),
  },
  "GET /chat/turns/{turn_id}": { gets: ownerAlone() },
  "GET /chat/turns/{turn_id}/stream": { gets: ownerAlone() },
  "POST /chat/turns/{turn_id}/cancel": {
    gets: ownerAlone(),
    path: ({ waiting_turn_id }) => `/chat/turns/${waiting_turn_id}/cancel`,
    spends: "session",
  },
  "POST /chat/turns/{turn_id}/approvals": {
    gets: ownerAlone(202),
    path: ({ waiting_turn_id }) => `/chat/turns/${waiting_turn_id}/approvals`,
    body: ({ call_id }) => ({ decisions: [{ call_id, decision: "reject" }] }),
    spends: "session",
  },

  "POST /chat/ui": {
    gets: ownerAlone(),
    body: ({ session_id }) => ({ ...answer, id: session_id, messages: [uiQuestion] }),
  },
  // Nothing runs there.
  "GET /chat/ui/{id}/stream": { gets: ownerAlone(204), path: ({ session_id }) => `/chat/ui/${session_id}/stream` },

  "GET /llm/models": { gets: everyone() },
  "GET /llm/health": { gets: everyone() },
  "POST /llm/generate": { gets: everyone(), body: () => ({ prompt: "Hello" }) },
  "POST /llm/generate/stream": { gets: everyone(), body: () => ({ prompt: "Hello" }) },
  "POST /v1/embeddings": { gets: everyone(), body: () => ({ model: "demo", input: "Hello" }) },

  "POST /v1/chat/completions": {
    gets: everyone(),
    body: () => ({ model: "demo", messages: [{ role: "user", content: "Hello" }] }),
  },
  "POST /v1/responses": {
    gets: ownerAlone(),
    body: ({ turn_id }) => ({ input: "Hello", previous_response_id: toResponseId(turn_id) }),
  },
  "GET /v1/responses/{response_id}": {
    gets: ownerAlone(),
    path: ({ turn_id }) => `/v1/responses/${toResponseId(turn_id)}`,
  },
  "POST /v1/responses/{response_id}/cancel": {
    gets: ownerAlone(),
    path: ({ waiting_turn_id }) => `/v1/responses/${toResponseId(waiting_turn_id)}/cancel`,
    spends: "session",
  },
  "DELETE /v1/responses/{response_id}": {
    gets: ownerAlone(),
    path: ({ waiting_turn_id }) => `/v1/responses/${toResponseId(waiting_turn_id)}`,
    spends: "session",
  },
  "GET /v1/models": { gets: everyone() },
  "GET /v1/models/{model}": { gets: everyone(), path: () => "/v1/models/demo" },

  "GET /history/health": { gets: everyone() },
  "GET /history/retention": { gets: adminsAlone() },
  "GET /history/users/{user_id}/sessions": { gets: ownerAlone() },
  "GET /history/users/{user_id}/stats": {
    gets: ownerAlone(),
    path: ({ user_id, session_id }) => `/history/users/${user_id}/stats?session_id=${session_id}`,
  },
  "GET /history/search": {
    gets: ownerAlone(),
    path: ({ session_id }) => `/history/search?q=hello&session_id=${session_id}`,
  },
  "POST /history/sessions": { gets: ownerAlone(201), body: ({ user_id }) => ({ title: "A session", user_id }) },
  "GET /history/sessions/{session_id}": { gets: ownerAlone() },
  "PATCH /history/sessions/{session_id}": { gets: ownerAlone(), body: () => ({ title: "Another title" }) },
  "GET /history/sessions/{session_id}/export": { gets: ownerAlone() },
  "POST /history/import": { gets: everyone(), body: () => "\n", headers: { "content-type": "application/x-ndjson" } },
  "GET /history/sessions/{session_id}/messages": { gets: ownerAlone() },
  "GET /history/sessions/{session_id}/attachments/{sha256}": { gets: ownerAlone() },
  "POST /history/sessions/{session_id}/attachments": {
    ...{ gets: ownerAlone(201), body: () => "Notes", headers: { "content-type": "text/plain" } },
  },
  "POST /history/messages": {
    gets: ownerAlone(201),
    body: ({ session_id, unique }) => ({ session_id, role: "user", content: unique }),
  },
  "POST /history/chat/with-history": { gets: ownerAlone(), body: ({ session_id }) => ({ ...turn, session_id }) },
  "DELETE /history/sessions/{session_id}": { gets: ownerAlone(), spends: "session" },

  "GET /cache/health": { gets: everyone() },
  "GET /cache/stats": { gets: adminsAlone() },
  "GET /cache/keys": { gets: adminsAlone() },
  // Also an admin is told of the history of own sessions alone.
  "GET /cache/explain": {
    gets: adminsAlone(404),
    path: ({ session_id }) => `/cache/explain?prompt=Hello&session_id=${session_id}`,
  },
  "POST /cache/explain": { gets: adminsAlone(404), body: ({ session_id }) => ({ ...turn, session_id }) },
  "DELETE /cache/invalidate/llm": { gets: adminsAlone() },
  "DELETE /cache/invalidate/intent": { gets: adminsAlone() },
  "DELETE /cache/invalidate/mcp": { gets: adminsAlone() },
  "DELETE /cache/invalidate/all": { gets: adminsAlone() },
  "DELETE /cache/invalidate/route/{route}": { gets: adminsAlone(), path: () => "/cache/invalidate/route/chat" },
  "DELETE /cache/invalidate": {
    gets: { owner: 200, other: 403, admin: 200 },
    path: ({ user_id, session_id }) => `/cache/invalidate?user=${user_id}&session=${session_id}`,
  },

  "POST /mcp": { gets: everyone(), body: () => hello, headers: PROTOCOL },
  // Without a session there is nothing to hear or to end; whose a session is, test/mcp-sessions.test.ts shows.
  "GET /mcp": { gets: everyone(400), headers: PROTOCOL },
  "DELETE /mcp": { gets: everyone(400), headers: PROTOCOL },

  "GET /mcp/tools/list": { gets: everyone() },
  "POST /mcp/tools/call": {
    gets: everyone(),
    body: () => ({ tool_name: "calculator", input_data: { expression: "1+1" } }),
  },
  "GET /mcp/health": { gets: everyone() },
  "GET /mcp/stats": { gets: everyone() },
  "POST /mcp/tools/{name}/enable": { gets: adminsAlone(), path: () => "/mcp/tools/echo/enable" },
  "POST /mcp/tools/{name}/disable": { gets: adminsAlone(), path: () => "/mcp/tools/echo/disable" },

  "POST /mcp/servers": {
    // Of a host that cannot be reached: whoever may ask is told so.
    gets: adminsAlone(400),
    body: () => ({ name: "matrix", url: "https://10.0.0.1/mcp" }),
  },
  "GET /mcp/servers": { gets: adminsAlone() },
  // No server has such a name; what becomes of those that have joined, test/mcp-gateway.test.ts shows.
  "POST /mcp/servers/{name}/check": { gets: adminsAlone(400), path: () => "/mcp/servers/Nobody/check" },
  "POST /mcp/servers/{name}/accept": {
    ...{ gets: adminsAlone(400), path: () => "/mcp/servers/Nobody/accept", body: () => ({ hash: "0".repeat(64) }) },
  },
  "DELETE /mcp/servers/{name}": { gets: adminsAlone(400), path: () => "/mcp/servers/Nobody" },

  "GET /.well-known/oauth-protected-resource/mcp": { gets: everyone() },
  "GET /.well-known/oauth-protected-resource": { gets: everyone() },

  "GET /openapi.json": { gets: everyone() },
  "GET /docs": { gets: everyone() },
  "GET /docs/{file}": { gets: everyone(), path: () => "/docs/start.js" },
};
