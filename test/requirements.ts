/**
 * What this project promises, as pure data: id -> where the promise comes from and what it says.
 * A test cites the id in its title, `[NET-1] ...`; test/requirements.test.ts fails on an id that no test cites.
 */
export interface Requirement {
  /** Where it comes from: a document of this repository and its section. */
  source: string;
  text: string;
}

export const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  B2: {
    source: "bad input",
    text: "A body that is no JSON is refused as invalid_json.",
  },
  B3: {
    source: "bad input",
    text: "A body that is no JSON object is refused as invalid_json.",
  },
  B8: {
    source: "bad input",
    text: "A body over the limit or compressed is refused, whatever its length is said to be; what comes after it is no part of it.",
  },
  B9: {
    source: "bad input",
    text: "Another media type or charset is refused.",
  },
  B11: {
    source: "bad input",
    text: "A method that a path does not have is answered with 405 and Allow, on every path.",
  },
  B12: {
    source: "bad input",
    text: "A path near a route is not that route, and never another one.",
  },
  B16: {
    source: "bad input",
    text: "Unknown fields are refused.",
  },
  B17: {
    source: "bad input",
    text: "A prompt without visible text is refused.",
  },
  B18: {
    source: "bad input",
    text: "A prompt of another type is refused.",
  },
  B19: {
    source: "bad input",
    text: "A prompt over the limit is refused.",
  },
  B21: {
    source: "bad input",
    text: "NUL in a prompt is refused.",
  },
  B24: {
    source: "bad input",
    text: "Message lists that are no conversation of a user are refused.",
  },
  B25: {
    source: "bad input",
    text: "A temperature out of range or of another type is refused.",
  },
  B26: {
    source: "bad input",
    text: "max_tokens out of range or of another type is refused.",
  },
  B34: {
    source: "bad input",
    text: "A session id that is no UUID is refused.",
  },
  B39: {
    source: "bad input",
    text: "An unknown session is a missing one.",
  },
  B43: {
    source: "bad input",
    text: "A missing or malformed credential is refused.",
  },
  B48: {
    source: "bad input",
    text: "A credential in the query is no credential.",
  },
  B57: {
    source: "bad input",
    text: "An event number that is none is refused.",
  },
  S8: {
    source: "security",
    text: "Every reply has the security headers.",
  },
  B27: {
    source: "bad input",
    text: "A model that no provider serves is refused as model_not_found.",
  },
  B31: {
    source: "bad input",
    text: "A context longer than the model's window is refused as context_length_exceeded.",
  },
  "CHAT-1": {
    source: "API: POST /chat",
    text: "A chat is answered as JSON that fits its schema.",
  },
  "CHAT-2": {
    source: "API: POST /chat/stream",
    text: "Events are numbered from 1 without gaps and end with exactly one terminal event.",
  },
  "CHAT-3": {
    source: "API: POST /chat/stream",
    text: "The model calls a tool by MCP; its call and result are events; the messages reach Postgres.",
  },
  "CHAT-4": {
    source: "API: cache",
    text: "The same first question is answered from the cache, as JSON and as a stream, without a model call.",
  },
  "CHAT-5": {
    source: "API: cache",
    text: "Later turns are never shared between users.",
  },
  "CHAT-6": {
    source: "API: GET /chat/turns/{turn_id}/stream",
    text: "A dropped client does not end a turn; resuming gives exactly the missing events.",
  },
  "CHAT-7": {
    source: "API: POST /chat",
    text: "The model is shown the newest messages of the session.",
  },
  "CHAT-8": {
    source: "architecture",
    text: "The user's message is durable before any model is called.",
  },
  "CHAT-9": {
    source: "security",
    text: "Somebody else's session or turn looks like a missing one.",
  },
  "CHAT-10": {
    source: "API: on_busy",
    text: "A busy session refuses a second message with turn_in_progress.",
  },
  "CHAT-11": {
    source: "API: store",
    text: "store: false keeps a turn out of the history.",
  },
  F1: {
    source: "faults",
    text: "A model's stream that ends without a finish is told as upstream_truncated and never cached.",
  },
  F3: {
    source: "faults",
    text: "A connection reset in mid-stream is told as an error at once.",
  },
  F4: {
    source: "faults",
    text: "A model that stalls ends as upstream_timeout, and its connection is closed; until then viewers are sent comments.",
  },
  F5: {
    source: "faults",
    text: "An error inside a stream ends the turn as an error.",
  },
  F6: {
    source: "faults",
    text: "429 with any Retry-After: at most one short wait, never more than three calls.",
  },
  F7: {
    source: "faults",
    text: "5xx with an HTML body is a typed error; the HTML is never echoed.",
  },
  F8: {
    source: "faults",
    text: "401, 403, a login redirect or page is upstream_auth, without a retry.",
  },
  F9: {
    source: "faults",
    text: "Missing usage and duplicate finishes are tolerated; usage is then estimated.",
  },
  F10: {
    source: "faults",
    text: "Malformed tool-call deltas never execute anything.",
  },
  F11: {
    source: "faults",
    text: "An unknown finish reason is no finish.",
  },
  F13: {
    source: "faults",
    text: "A reader that leaves ends the provider's request.",
  },
  F20: {
    source: "faults",
    text: "Postgres away: chat is answered, and every message arrives once when it is back.",
  },
  F26: {
    source: "faults",
    text: "Redis away: chat is answered, and the reply says that the cache was passed by.",
  },
  F36: {
    source: "faults",
    text: "A missing or malformed setting closes its feature and is named; its value never is.",
  },
  "LOG-1": {
    source: "operations",
    text: "One request id crosses all three Workers and comes back as a header.",
  },
  P15: {
    source: "budgets",
    text: "The bundles of main, llm-agent and mcp are at most 600, 150 and 250 kB, compressed, with no tracing client in them.",
  },
  P1: {
    source: "performance budget",
    text: "Round trips before the first token, by dependency, for a miss, a hit and one tool.",
  },
  P9: {
    source: "performance budget",
    text: "Dependency calls and rows written a chat.",
  },
  S10: {
    source: "security",
    text: "An upstream is treated as hostile: every frame and body is checked.",
  },
  S16: {
    source: "security",
    text: "Logs hold no prompt, token, key, SQL parameter or vendor's message.",
  },
  S19: {
    source: "security",
    text: "llm-agent and mcp have no public route.",
  },
  B56: {
    source: "bad input",
    text: "An Idempotency-Key that is empty, too long or not printable is refused.",
  },
  F39: {
    source: "faults",
    text: "Requests with one Idempotency-Key start one turn; another body is refused.",
  },
  F40: {
    source: "faults",
    text: "Two messages to one session at once are refused or ordered; roles alternate.",
  },
  F41: {
    source: "faults",
    text: "A session deleted in mid-stream ends its stream, and no row of it comes back.",
  },
  P11: {
    source: "performance budget",
    text: "After a stop the provider sends two chunks at most.",
  },
  "TURN-3": {
    source: "API: POST /chat/turns/{turn_id}/cancel",
    text: "A turn is stopped from any device; its partial is kept with its usage.",
  },
  "TURN-4": {
    source: "API: Idempotency-Key",
    text: "A retry attaches to the running turn or gets the finished one.",
  },
  "TURN-5": {
    source: "API: on_busy",
    text: "A message to a busy session is refused, waits, or interrupts, as it says.",
  },
  "TURN-6": {
    source: "API: regenerate and edit",
    text: "Answers and questions branch; nothing is destroyed; the newest branch is what the model sees.",
  },
  "TURN-7": {
    source: "API: GET /history/sessions/{session_id}/messages",
    text: "Messages are read page by page, as soon as they are acknowledged.",
  },
  "TOOL-1": {
    source: "settings: TOOL_POLICY",
    text: "Rules say which tools run, ask first or are not offered; the strictest that matches counts.",
  },
  "TOOL-2": {
    source: "API: POST /chat/turns/{turn_id}/approvals",
    text: "A tool that asks first waits for a person, who approves, edits or rejects what was asked.",
  },
  "TOOL-3": {
    source: "API: POST /chat/turns/{turn_id}/approvals",
    text: "Waiting for a person outlives the runtime.",
  },
  "DB-1": {
    source: "db/schema.ts",
    text: "The schema version that the code expects is that of the newest migration.",
  },
  F14: {
    source: "faults",
    text: "A slow reader holds up nobody; a viewer reads from the log.",
  },
  F18: {
    source: "faults",
    text: "An object that was reset is asked once more; otherwise 503 with Retry-After.",
  },
  F24: {
    source: "faults",
    text: "A row that Postgres can never take is set aside and counted; the rest arrives.",
  },
  F33: {
    source: "faults",
    text: "Without a tool server the chat goes on without tools.",
  },
  F35: {
    source: "faults",
    text: "A service binding that throws or breaks ends the turn with a typed error.",
  },
  P7: {
    source: "performance budget",
    text: "A turn does not grow with its session: prompt bytes and rows read.",
  },
  "TURN-8": {
    source: "API: GET /chat/turns/{turn_id}/stream",
    text: "An hour after its end a turn's events are gone: 410 with a pointer to the stored message.",
  },
  "TURN-9": {
    source: "architecture",
    text: "A wish to stop a turn or to delete a session outlives the runtime.",
  },
  S28: {
    source: "security",
    text: "No content can forge an event: what is decoded is what was encoded.",
  },
  "DEV-1": {
    source: "dev/stack.ts",
    text: "A local run serves a stand-in for what is not configured, and the real service for what is.",
  },
  "TOOL-4": {
    source: "architecture",
    text: "What the tools of a turn give is bounded; what was left out is never cached.",
  },
  "INSTALL-1": {
    source: "package.json: predev, pretest, precheck",
    text: "A first command installs the dependencies itself; a current install costs nothing and prints nothing.",
  },
  "INSTALL-2": {
    source: "package.json: predev, pretest, precheck",
    text: "A failed install says what to do next and exits with npm's code.",
  },
  "LAYERS-1": {
    source: ".oxlintrc.json",
    text: "A file imports only what its layer may import; a vendor package has one importing file.",
  },
  "LINT-1": {
    source: ".oxlintrc.json",
    text: "A forgotten await, also on a thenable, an unhandled case of a union, any, ! and import circles are refused.",
  },
  "NET-1": {
    source: "vitest.config.ts",
    text: "Tests reach nothing but loopback.",
  },
  "REPORT-1": {
    source: "vitest.config.ts",
    text: "A test run ends with the plain line `N passed, N failed`, which never hides a failure.",
  },
  "SAVER-1": {
    source: "architecture",
    text: "Checkpoints of LangGraph are kept in Durable Object SQLite: its validation suite passes in full, and a turn without one pays nothing.",
  },
  "SAVER-2": {
    source: "architecture",
    text: "A pruned thread keeps its newest checkpoint and what that is rebuilt from, and no more.",
  },
  "TRACE-1": {
    source: "test/requirements.ts",
    text: "Every requirement is cited by a test, and every cited id is declared.",
  },
  "TURN-1": {
    source: "architecture",
    text: "A stream that is cut at any byte and resumed misses no event and repeats none.",
  },
  "TURN-2": {
    source: "API: Idempotency-Key",
    text: "A message that is sent again with its key, whatever broke, is asked once and answered once.",
  },
  F15: {
    source: "faults",
    text: "A viewer comes back with a valid, an old or a future event number, or for another user's turn.",
  },
  F16: {
    source: "faults",
    text: "A turn that is cut ends as interrupted once words were shown and is taken up again before; its session is free at once.",
  },
  F17: {
    source: "faults",
    text: "The runtime is killed under load: every acknowledged message is in Postgres once and in order, every turn is ended.",
  },
  F19: {
    source: "faults",
    text: "What is owed to Postgres is paid after many failed tries, also by an object that nobody asks for.",
  },
  "SESS-1": {
    source: "API: GET /history/sessions/{session_id}/messages",
    text: "Messages are read in both directions, at the same cost at any place of a long session, with the branch they belong to.",
  },
  "SESS-2": {
    source: "API: GET /history/sessions/{session_id}/messages",
    text: "A session that no object holds is read from Postgres, by its owner alone; its object stays empty.",
  },
  "SESS-3": {
    source: "docs/storage.md",
    text: "An object that was made when its tables had fewer columns is read and goes on.",
  },
  "SESS-4": {
    source: "API: POST /history/sessions",
    text: "A session is made without a turn, once, and is in Postgres when the answer comes.",
  },
  "SESS-5": {
    source: "API: PATCH /history/sessions/{session_id}",
    text: "A session is renamed and archived; the change reaches Postgres whatever breaks, and nothing late takes it back.",
  },
  "SESS-6": {
    source: "API: POST /history/messages",
    text: "A message is saved without a turn, once, and never while a turn runs.",
  },
  F25: {
    source: "faults",
    text: "A migration that fails half-way, runs twice, races or is rolled back leaves one of the known schemas, with its journal.",
  },
  "DB-2": {
    source: "docs/decisions/0008",
    text: "A migration file that was edited after it was applied, a gap or an unknown row in the journal is refused.",
  },
  "DB-3": {
    source: "docs/decisions/0016",
    text: "A drafted migration leads to db/schema.ts and its down back; what is off is told; the newest snapshot is that of db/schema.ts.",
  },
  "DB-4": {
    source: "README: Deployed",
    text: "A deployment applies the migrations before it deploys mcp, llm-agent and main, and stops at the first failure saying what is done.",
  },
  "DB-5": {
    source: "README: Commands",
    text: "db:status, db:check and a dry run tell what is applied, pending or off, and change nothing; both addresses of a database come from one place.",
  },
  B40: {
    source: "bad input",
    text: "A user without a good name or address is refused, and so is a taken one, in any letter case.",
  },
  B41: {
    source: "bad input",
    text: "Fields that are not a client's to set are refused.",
  },
  B42: {
    source: "bad input",
    text: "Weak, long and odd passwords are refused.",
  },
  B44: {
    source: "bad input",
    text: "A token of another algorithm, or with other header fields, is none.",
  },
  B45: {
    source: "bad input",
    text: "A token with a wrong, missing or mistyped claim is none.",
  },
  B46: {
    source: "bad input",
    text: "A token of a user who is gone, inactive, signed out or has a new password is none.",
  },
  B50: {
    source: "bad input",
    text: "Odd keys get nobody in, and ask Postgres nothing.",
  },
  B51: {
    source: "bad input",
    text: "Sign-in is limited; an unknown user and a wrong password look alike and cost the same work.",
  },
  S2: {
    source: "security",
    text: "Algorithm, issuer, audience, end and version of a token are checked.",
  },
  S3: {
    source: "security",
    text: "What is not named by a schema goes neither in nor out.",
  },
  S6: {
    source: "security",
    text: "Sign-in, sign-up and chats are limited, exactly, also under parallel requests.",
  },
  S27: {
    source: "security",
    text: "Passwords are kept as scrypt hashes, keys as SHA-256.",
  },
  S31: {
    source: "security",
    text: "Deleting removes rows, objects, keys and what was owed.",
  },
  "AUTH-1": {
    source: "API: /auth",
    text: "Sign up, sign in by name or address, refresh, sign out.",
  },
  "AUTH-2": {
    source: "API: POST /auth/refresh",
    text: "A refresh token is used once; one that was copied ends the login.",
  },
  "AUTH-3": {
    source: "API: /auth/api-keys",
    text: "A key is shown once, works within its scopes, and is revoked at once.",
  },
  "AUTH-4": {
    source: "API: /history/users",
    text: "An admin sees and changes everyone, a user only itself.",
  },
  "AUTH-5": {
    source: "API: /auth",
    text: "A stream that is open ends when its credential does.",
  },
  "AUTH-6": {
    source: "architecture",
    text: "Without Postgres whoever is known goes on, and can be signed out.",
  },
  "AUTH-7": {
    source: "architecture",
    text: "A change whose answer was lost counts once Postgres can be asked.",
  },
  "PREF-1": {
    source: "API: preferences",
    text: "Preferences fill in what a chat request leaves out.",
  },
  "ERASE-1": {
    source: "API: DELETE /history/users/{user_id}",
    text: "Erasing a user removes everything of theirs and says how much.",
  },
  "ERASE-2": {
    source: "API: DELETE /history/users/{user_id}",
    text: "An erasure that a store holds up goes on when the store is back.",
  },
  B59: {
    source: "bad input",
    text: "A purge that is repeated or meets reads and writes is right each time.",
  },
  "CACHE-1": {
    source: "docs/storage.md: Redis",
    text: "Entries are counted and purged by layer, route, user, session, model and tool, exactly, in one round trip; others stay.",
  },
  "CACHE-2": {
    source: "docs/storage.md: Redis",
    text: "A value that does not fit its envelope is a miss and is deleted.",
  },
  "CACHE-3": {
    source: "docs/storage.md: Redis",
    text: "A purge leaves an audit line; one that Redis did not answer is a failure.",
  },
  "CACHE-4": {
    source: "API: DELETE /history/sessions/{session_id}",
    text: "A session that is deleted takes its cache entries with it, also when Redis is away at first.",
  },
  F29: {
    source: "faults",
    text: "What was generated before a purge, or while it ran, is not served after it.",
  },
  "CACHE-5": {
    source: "API: the cache field, Cache-Control",
    text: "A request says what may be read and written; the reply says whether it was a hit, how old, and why not.",
  },
  "CACHE-6": {
    source: "docs/storage.md: Redis",
    text: "Two requests share a cache key exactly when they mean the same.",
  },
  "CACHE-7": {
    source: "docs/storage.md: Redis",
    text: "Hits, misses, bypasses, outages, entries, bytes and what was saved are counted for all Workers together, exactly.",
  },
  "CACHE-8": {
    source: "docs/storage.md: Redis",
    text: "Only complete answers are kept: nothing cut, refused, stopped, failed or too large.",
  },
  "API-1": {
    source: "API: /openapi.json",
    text: "Every route that the router serves is documented, and every documented one is served; the document names no host.",
  },
  "API-2": {
    source: "redocly.yaml",
    text: "A public linter finds nothing in the document.",
  },
  "API-3": {
    source: "API: /openapi.json",
    text: "Every reply of every test has a status, a media type and a JSON body that the document describes.",
  },
  "API-4": {
    source: "API: /docs",
    text: "The page loads nothing from another host, and no inline script runs on it.",
  },
  "API-5": {
    source: "API: /openapi.json",
    text: "The document is made from the schemas that check: what a value means, not how it is parsed.",
  },
  S9: {
    source: "security",
    text: "Nothing is served that the API's document does not name.",
  },
  F28: {
    source: "faults",
    text: "A Redis that is full, over its limit or answers nonsense is passed by and counted.",
  },
  "HIST-1": {
    source: "API: GET /history/users/{user_id}/sessions",
    text: "A user's sessions come newest first, archived ones when asked for, and nobody else's.",
  },
  "HIST-2": {
    source: "API: cursor pages",
    text: "Paging sees every row that was there exactly once, whatever comes and goes meanwhile.",
  },
  "HIST-3": {
    source: "API: GET /history/search",
    text: "The search finds words, phrases, either and without, in one's own messages alone, with filters, newest first.",
  },
  "HIST-4": {
    source: "API: GET /history/search",
    text: "Snippets are pieces of text that say which of them match; what a message holds is never taken for a mark.",
  },
  "HIST-5": {
    source: "API: GET /history/users/{user_id}/stats",
    text: "Statistics add up what was used and, apart from it, what the cache saved, in one request to Postgres.",
  },
  "HIST-6": {
    source: "laws: expected failures are values",
    text: "Trouble of Postgres is told by a code, without a word of the query; long work is given up by the database.",
  },
  "HIST-7": {
    source: "API: POST /history/import",
    text: "An import takes whole sessions, again adds nothing, and never touches another user's.",
  },
  "HIST-8": {
    source: "API: indexes for every query",
    text: "No statement of a store reads messages or sessions from end to end, at 100,000 messages.",
  },
  "HIST-9": {
    source: "API: cursor pages",
    text: "The last page of a list costs at most 1.25 times what the first one does: queries, rows read and buffers.",
  },
  "HIST-10": {
    source: "API: POST /history/import",
    text: "An export of ours is taken back with its branches; a line that does not fit refuses the file and is named.",
  },
  "HIST-11": {
    source: "API: POST /history/import",
    text: "Of a ChatGPT export the path to the current message is taken; what cannot be is left out and counted.",
  },
  "HIST-12": {
    source: "API: GET /history/sessions/{session_id}/export",
    text: "An export is the session as it is at that moment, in order, in the memory of a page, and an import takes it back.",
  },
  B13: {
    source: "faults",
    text: "Long URLs, very many, nested and repeated query names are refused.",
  },
  B22: {
    source: "faults",
    text: "Text of any kind is found and shown as it is.",
  },
  B35: {
    source: "faults",
    text: "Query names and orders that a list does not have are refused.",
  },
  B36: {
    source: "faults",
    text: "Limits out of range and cursors that are none, or another list's, are refused.",
  },
  B37: {
    source: "faults",
    text: "Dates that are none, and ranges that are reversed, are refused.",
  },
  B38: {
    source: "faults",
    text: "Another user's session or user looks like a missing one on every route.",
  },
  B58: {
    source: "bad input",
    text: "A layer, route or tag to purge that is none is refused; no pattern is read as one.",
  },
  "CACHE-9": {
    source: "API: DELETE /cache/invalidate, GET /cache/keys",
    text: "Each layer, route and tag can be purged and listed by itself.",
  },
  "CACHE-10": {
    source: "API: GET /cache/explain",
    text: "It can be told why a request is a hit or a miss, and which part of its key is in the way.",
  },
  "MCP-1": {
    source: "MCP security best practices: session hijacking",
    text: "A session's handle is random, belongs to its user, and lets nobody in.",
  },
  "MCP-2": {
    source: "MCP 2025-11-25: session management",
    text: "A session ends when its client says so, or when nobody has asked for a while, and leaves nothing behind.",
  },
  "MCP-3": {
    source: "MCP 2025-11-25: resumability and redelivery",
    text: "What a session knows outlives its object, and a client that lost its connection gets the rest once.",
  },
  "MCP-4": {
    source: "MCP 2025-11-25: sampling and elicitation",
    text: "A tool can ask the client's model and the client's user, and fails where there is none.",
  },
  "MCP-5": {
    source: "MCP 2025-11-25: JSON-RPC ids",
    text: "Clients whose request ids collide never get each other's results.",
  },
  "MCP-6": {
    source: "@modelcontextprotocol/conformance, requirements of 2025-11-25",
    text: "Every scenario that the revision requires of a server passes, and those for a client without OAuth.",
  },
  "MCP-7": {
    source: "tools: switched on and off at run time",
    text: "A tool that is switched off, for all or for one user, is neither listed nor run, within seconds and without a round trip before a call.",
  },
  "MCP-8": {
    source: "API: GET /mcp/stats",
    text: "Calls of tools are counted behind their replies: executions, failures, times, cache hits, bytes, the last error.",
  },
  "MCP-9": {
    source: "API: /mcp/tools",
    text: "Tools can be listed and called without the protocol; results that may be used again are.",
  },
  "MCP-10": {
    source: "README: TOOL_POLICY",
    text: "A tool that a rule denies is closed by every door.",
  },
  S30: {
    source: "security",
    text: "Every call of a tool leaves a line of who asked for what, with the hash of its arguments.",
  },
  F32: {
    source: "faults",
    text: "A tool that throws, hangs, gives too much or what is no text is a failure in our words, and is not kept.",
  },
  S21: {
    source: "security",
    text: "A client of /mcp without the right credential is told where to read what it needs.",
  },
  B66: {
    source: "bad input",
    text: "MCP: what does not accept what it may be answered with is refused; GET needs a session.",
  },
  B68: {
    source: "bad input",
    text: "MCP: a missing, unknown, deleted or foreign session, and a wrong protocol version, are refused.",
  },
  "AUTHZ-1": {
    source: "AGENTS.md: Check the owner of an id",
    text: "Every route has a row that says what each kind of caller gets, and each gets it; ids in bodies count as ids in paths.",
  },
  "AUTHZ-2": {
    source: "README: how a turn runs",
    text: "A credential that was taken back has no effect on a session, and its owner is told no more than that.",
  },
  S1: {
    source: "security",
    text: "Whoever may not use an object cannot tell it from a missing one, on any route.",
  },
  S5: {
    source: "security",
    text: "What is an admin's alone needs the role and a credential that may act with it.",
  },
  B52: {
    source: "bad input",
    text: "A user who calls what is an admin's is refused.",
  },
  B1: {
    source: "bad input",
    text: "An empty or missing body is refused as invalid_json.",
  },
  B4: {
    source: "bad input",
    text: "A body that is no UTF-8 is refused.",
  },
  B5: {
    source: "bad input",
    text: "A byte order mark before a body changes nothing, on any route.",
  },
  B7: {
    source: "bad input",
    text: "A body that is nested deep, or has a million items, is refused as any other that does not fit.",
  },
  B10: {
    source: "bad input",
    text: "An Accept header that asks for something else is not looked at.",
  },
  B32: {
    source: "bad input",
    text: "A prompt of megabytes is refused before it is looked at.",
  },
  B54: {
    source: "bad input",
    text: "Pages of other origins get nothing, whatever their credential.",
  },
  B55: {
    source: "bad input",
    text: "A preflight lets listed pages in and no others; replies are never for everyone, and never with credentials.",
  },
  B84: {
    source: "bad input",
    text: "Upgrades, Expect, HTTP/1.0 and pipelined requests are answered, never with a 5xx.",
  },
  F30: {
    source: "faults",
    text: "Identical requests at once share one answer, live; a leader that goes costs one more call; nobody waits without end.",
  },
  P10: {
    source: "performance budget",
    text: "A hundred identical misses at once make one model call.",
  },
  S15: {
    source: "security",
    text: "What is private is never shared between users, also not while an answer is made.",
  },
  "FUZZ-1": {
    source: "API",
    text: "No request that can be made from the routes' own schemas and from hostile values is answered with a 5xx or not at all.",
  },
  S17: {
    source: "security",
    text: "Every error is a stable code with the request's id; none shows a stack, SQL, a credential or what was sent.",
  },
  S29: {
    source: "security",
    text: "No text takes a pattern or a parser a time without bounds.",
  },
  "SESS-7": {
    source: "settings: SESSION_REST_DAYS",
    text: "A session that nobody uses leaves its object once Postgres has all of it, and reads as before.",
  },
  "SESS-8": {
    source: "docs/decisions/0018",
    text: "A session that only Postgres has is taken up by whatever is done to it: nothing is doubled, lost or invented.",
  },
  "SESS-9": {
    source: "API: POST /history/chat/with-history",
    text: "A turn is answered with the end of its session's history.",
  },
  "ERASE-3": {
    source: "API: DELETE /history/sessions/{session_id}",
    text: "A session is deleted wherever it is, and each store's part of it is counted.",
  },
  "ERASE-4": {
    source: "architecture",
    text: "A session whose user is gone from Postgres ends by itself.",
  },
  "ERASE-5": {
    source: "architecture",
    text: "What an erasure left over in an object goes when it would rest.",
  },
  "ERASE-6": {
    source: "architecture",
    text: "What an object holds can be discarded for its owner without touching Postgres, and is counted.",
  },
  "TITLE-1": {
    source: "API: POST /chat",
    text: "A session is called by the first words said in it: one line, cut at a word's end, never inside a character.",
  },
  "TITLE-2": {
    source: "settings: TITLE_MODEL",
    text: "Where a model is set for it, it names a session once, after the first complete turn; a title of the user's stays.",
  },
  "TITLE-3": {
    source: "settings: TITLE_MODEL",
    text: "No reply waits for a title, and a call for one that fails changes nothing.",
  },
  B28: {
    source: "bad input",
    text: "A flag of another type is refused.",
  },
  B29: {
    source: "bad input",
    text: "Parameters that the native routes do not have are refused.",
  },
  B30: {
    source: "bad input",
    text: "A response format that is none is refused.",
  },
  "MCP-11": {
    source: "tools: fetch_page",
    text: "A public page of a listed host is read as text and marked as data; without listed hosts there is no such tool.",
  },
  "MCP-12": {
    source: "tools: web_search",
    text: "The web is searched through Brave, Tavily or SearXNG; a provider that fails is a failure, and without one there is no such tool.",
  },
  B70: {
    source: "bad input",
    text: "Addresses of this machine and of private networks are never fetched.",
  },
  B71: {
    source: "bad input",
    text: "A number in another notation is the same address, and never fetched.",
  },
  B74: {
    source: "bad input",
    text: "Only hosts that the deployment lists are fetched, wherever their names lead.",
  },
  B75: {
    source: "bad input",
    text: "Each hop of a redirect is checked, and three are followed at most.",
  },
  B76: {
    source: "bad input",
    text: "Unusual ports, names of private networks, trailing dots, credentials and other schemes are refused.",
  },
  B77: {
    source: "bad input",
    text: "A page is read to 256 KiB unpacked and for ten seconds; what is no text is refused.",
  },
  B78: {
    source: "bad input",
    text: "What a page says is marked as data by marks that it cannot end.",
  },
  B79: {
    source: "bad input",
    text: "A search query without visible text or of great length is refused; control characters are taken out.",
  },
  S7: {
    source: "security",
    text: "A blocked address gets as far as no connection.",
  },
  "MCP-13": {
    source: "docs/adding-a-tool.md",
    text: "The guide, followed to the letter, adds a tool that every door knows.",
  },
  S25: {
    source: "security",
    text: "An Idempotency-Key is its user's own.",
  },
  S33: {
    source: "security",
    text: "Whoever leaves does not make a provider work for nobody: stateless requests are ended, session turns are kept, and either is charged.",
  },
  B80: { source: "bad input", text: "Arguments that do not fit a tool's schema never reach it." },
  B82: { source: "bad input", text: "Output that looks like frames or markup is text in JSON." },
  B67: { source: "bad input", text: "MCP: what is no message of the protocol is refused with its own code." },
  "MCP-14": {
    source: "API: /mcp/servers",
    text: "A remote server joins at run time, its tools are called as our own, and one that fails harms nobody else.",
  },
  F34: {
    source: "faults",
    text: "A tool list that changes is refused until it is looked at, with a note.",
  },
  S20: {
    source: "security",
    text: "A remote server is sent its own credentials alone, which are stored encrypted.",
  },
  S23: {
    source: "security",
    text: "What a tool says of itself is bounded, visible and pinned.",
  },
  P14: {
    source: "performance budget",
    text: "Frequent questions save most model calls, and no answer is ever another request's.",
  },
  "CACHE-11": {
    source: "settings: CACHE_LLM_TTL, CACHE_INTENT_TTL, CACHE_MCP_TTL",
    text: "Entries live as long as their layer's setting says, shortened at random, or shorter if the request says so.",
  },
  "CACHE-12": {
    source: "docs/decisions/0051",
    text: "A first turn's look into the cache is made by main while its object is reached, and by the object where its keys are others.",
  },
  S4: {
    source: "security",
    text: "Every field of a request has a bound; sign-in, tries of a password, purges, streams at once and a day's tokens and money are limited.",
  },
  S12: {
    source: "security",
    text: "Secrets, prompts, passwords and tokens are in no log, in no error, and in no store where they do not belong.",
  },
  S14: {
    source: "security",
    text: "Dependencies are pinned exactly and locked by their hashes.",
  },
  S18: {
    source: "security",
    text: "No tracked file holds a key; each install makes its own.",
  },
  S26: {
    source: "security",
    text: "No query is built from input.",
  },
  S32: {
    source: "security",
    text: "Health tells states, times and numbers, and nothing of settings, versions or addresses.",
  },
  S34: {
    source: "security",
    text: "Purges need a credential in the header, and are limited.",
  },
  B83: {
    source: "bad input",
    text: "A prompt that asks for the system prompt or for keys finds no secret.",
  },
  "MCP-15": {
    source: "tools: knowledge base",
    text: "Documents are added, found by their words and deleted; one sees one's own and what is shared.",
  },
  "MCP-16": {
    source: "tools: search_history; resources",
    text: "A user's own messages and sessions are there as a tool, as resources and as a prompt, and nobody else's.",
  },
  "MCP-17": {
    source: "README: the configuration for clients of the protocol",
    text: "A client that is configured as README.md shows lists the tools.",
  },
  "MCP-18": {
    source: "Model Context Protocol 2026-07-28",
    text: "A client of the newer revision is served beside the older ones: tools, resources, prompts and completions, without a session.",
  },
  "MCP-19": {
    source: "Model Context Protocol 2025-11-25: tools/list_changed",
    text: "A client that listens is told that the tools have changed.",
  },
  B69: {
    source: "bad input",
    text: "MCP: a page of another origin, and a host that is not ours, are refused with 403.",
  },
  S22: { source: "security", text: "An MCP session's handle is random, its own user's alone, and no credential." },
  S24: { source: "security", text: "What a tool gives is bounded in size, with a mark where it was cut." },
  "LLM-1": {
    source: "contracts/models.ts",
    text: "One registry says which models there are and who serves them; an unknown model is refused before any call.",
  },
  "LLM-2": {
    source: "API: GET /llm/models",
    text: "The models are told with what they can do and cost; what a provider lists is asked once a minute.",
  },
  "LLM-3": {
    source: "API: GET /llm/health",
    text: "Each node is told with its health, its breaker and what is in flight; never by a paid call.",
  },
  "LLM-4": {
    source: "contracts/models.ts",
    text: "What a request needs and its model lacks is refused by name before any call.",
  },
  "LLM-5": {
    source: "API: POST /llm/generate",
    text: "A model is asked directly, without a session; the call ends with its client.",
  },
  "LLM-6": {
    source: "contracts/models.ts",
    text: "Prices of the registry make the cost of an answer.",
  },
  "LLM-7": {
    source: "docs/vllm-tunnel.md",
    text: "A tunnel made by the guide lets through every path that a node is asked for, and no other.",
  },
  "LLM-8": {
    source: "docs/decisions/0042",
    text: "A request that a provider refuses (400, 413, 422) is refused, not repeated, and no fault of its node.",
  },
  "LLM-9": {
    source: "docs/decisions/0042",
    text: "A reply in one piece is watched as a stream is: a silence or a cut is left for another node, what keeps coming is waited for.",
  },
  "FLEET-1": {
    source: "docs/decisions/0041",
    text: "A session stays on its node, whichever isolate asks; a node that goes moves its own sessions alone.",
  },
  "FLEET-2": {
    source: "docs/decisions/0041",
    text: "A session leaves a node that is full or busy, and comes back.",
  },
  "FLEET-3": {
    source: "docs/decisions/0041",
    text: "A node that fails is passed by until one call finds it well; when all fail one is called anyway.",
  },
  "FLEET-5": {
    source: "docs/decisions/0042",
    text: "Before its first token a call fails over: three calls at most, retries rationed.",
  },
  "FLEET-6": {
    source: "docs/decisions/0041",
    text: "A node that drains gets nothing new.",
  },
  "FLEET-7": {
    source: "docs/decisions/0042",
    text: "An answer that breaks off is rewound and begun again on the next route, or ends as interrupted.",
  },
  "FLEET-8": {
    source: "docs/decisions/0042",
    text: "A direct stream that breaks off before its words is begun again on another route; a later break is told, and counts against its node.",
  },
  "FLEET-4": {
    source: "docs/decisions/0041",
    text: "Calls in flight are counted, and counted down however they end.",
  },
  "PREFIX-1": {
    source: "docs/decisions/0043",
    text: "Prompts begin with what never changes, and a session's only grow.",
  },
  "PREFIX-2": {
    source: "docs/decisions/0043",
    text: "A session's prompts are kept together, users' apart.",
  },
  "PREFIX-3": {
    source: "docs/decisions/0043",
    text: "A window that is full is trimmed by half, not by a message each turn.",
  },
  "PREFIX-4": {
    source: "docs/decisions/0041",
    text: "The calls of a conversation without a session go to one node and one cache of prompts; its key is its user's alone and tells nothing.",
  },
  P13: {
    source: "budgets",
    text: "Over 40-turn sessions with trims and tools at least 0.90 of the possible prefix is reused.",
  },
  "LIMIT-1": {
    source: "docs/decisions/0044",
    text: "No user has more requests in a minute than are allowed, however many come at once; who waits as told is let in.",
  },
  "LIMIT-2": {
    source: "docs/decisions/0044",
    text: "Tokens a minute are counted by estimate while a call runs, and by the truth once it has ended.",
  },
  "LIMIT-3": {
    source: "docs/decisions/0044",
    text: "A user has so many turns and direct calls at once; one that waits for a person, or did not start, is none of them.",
  },
  "LIMIT-4": {
    source: "docs/decisions/0044",
    text: "A day's budget in tokens or money is not overdrawn, however many ask at once, and is there again the next day.",
  },
  "LIMIT-5": {
    source: "docs/decisions/0044",
    text: "An answer from the cache is a request and takes no tokens.",
  },
  "LIMIT-6": {
    source: "docs/decisions/0044",
    text: "A restart forgives nothing; a call whose end is never told gives up its place and stays as it was estimated.",
  },
  "LIMIT-7": {
    source: "API: limits",
    text: "Every reply of a route that asks a model tells how the limits stand, by RateLimit and by x-ratelimit headers.",
  },
  "LIMIT-8": {
    source: "contracts/models.ts",
    text: "A provider that has as many calls as it may is passed by; where no other serves the model, the call is told to come again.",
  },
  "LEDGER-1": {
    source: "docs/decisions/0044",
    text: "A turn is written down with user, session, turn, model, provider, tokens and cost; an answer from the cache is not.",
  },
  "LEDGER-2": { source: "docs/decisions/0044", text: "A direct call is written down like a turn." },
  "LEDGER-3": {
    source: "docs/decisions/0044",
    text: "Failed turns, sessions that are kept nowhere and deleted ones leave what they cost.",
  },
  "LEDGER-4": {
    source: "docs/decisions/0044",
    text: "The ledger is the provider's bill to the token where it gives figures, whoever leaves; where not, it says so.",
  },
  "LEDGER-5": { source: "docs/decisions/0044", text: "A turn that is cut is written down by what was saved of it." },
  "LEDGER-6": {
    source: "docs/decisions/0044",
    text: "Records wait for Postgres, and come once.",
  },
  "LEDGER-7": { source: "docs/decisions/0044", text: "Erasing a user removes the user's records." },
  "LEDGER-8": { source: "docs/decisions/0044", text: "Statistics and invoices are queries of the ledger." },
  "LEDGER-9": { source: "docs/decisions/0044", text: "A title is written down as a call of its own." },
  "LEDGER-10": {
    source: "docs/decisions/0044",
    text: "What a stream took that was cut is known to the last chunk where the provider tells it with each; elsewhere a delta is a token at least.",
  },
  "LEDGER-11": {
    source: "docs/decisions/0044",
    text: "A turn that is stopped, cut or taken up again is written down by the figures that were told until then.",
  },
  "LEDGER-12": {
    source: "docs/decisions/0044",
    text: "Attempts that were let in and came to nothing are counted by estimate, whoever answered after them; a refusal costs nothing.",
  },
  "LEDGER-13": {
    source: "docs/decisions/0044",
    text: "Vectors that the cache and the knowledge base ask for are written down for the user on whose behalf they are made.",
  },
  "LEDGER-14": {
    source: "docs/decisions/0044",
    text: "What is settled without a reservation counts once against the limits, however often it is told.",
  },
  "LEDGER-15": {
    source: "docs/decisions/0044",
    text: "A turn's usage event, JSON reply and state tell the cost that the ledger has, live, again and after a cut; 0 of an answer from the cache, null without a price.",
  },
  "LEDGER-16": {
    source: "docs/decisions/0044",
    text: "Statistics can be of one session, deleted or not; another user's is not found.",
  },
  "LEDGER-17": {
    source: "docs/decisions/0044",
    text: "Prompt tokens that the provider says were cached are told, and cost their own price where the model has one.",
  },
  F42: {
    source: "faults",
    text: "Limits that cannot be read let no model be asked; reads go on. A limiter's object that starts again forgives nothing.",
  },
  "LOG-6": {
    source: "architecture",
    text: "One line a request, tool call, model call of any kind, purge and drain, with what it needs to be understood.",
  },
  "TIME-1": {
    source: "contracts/timing.ts",
    text: "Stages of a request add up to its whole time.",
  },
  "TIME-2": {
    source: "contracts/timing.ts",
    text: "Every reply says in Server-Timing where its time went.",
  },
  "HEALTH-1": {
    source: "API: GET /health",
    text: "/health is for anyone and asks no other part.",
  },
  "HEALTH-2": {
    source: "API: GET /health/ready",
    text: "Anyone is told whether chat can be served; details only admins and the scrape token.",
  },
  "HEALTH-3": {
    source: "API: GET /health/ready",
    text: "Nobody without a right to details has the parts asked more than once in two seconds.",
  },
  "HEALTH-4": {
    source: "API: GET /health/ready",
    text: "A dependency that is down or refuses our credentials is told of; no look is a paid call.",
  },
  "HEALTH-5": {
    source: "API: GET /health/ready",
    text: "Every look is bounded in time.",
  },
  "HEALTH-7": {
    source: "API: GET /llm/health, /history/health, /cache/health",
    text: "Every user is told states, times and counts of parts: no address, host, port or version.",
  },
  "HEALTH-6": {
    source: "API: GET /health/ready",
    text: "Open breakers and what is owed to Postgres are told.",
  },
  "SPAN-1": {
    source: "docs/decisions/0047",
    text: "A turn, its model calls and its tool calls are spans of the platform's tracing, with GenAI names and no words.",
  },
  "CONF-1": {
    source: "docs/configuration.md",
    text: "The settings' document is written from the schemas that check them.",
  },
  "CONF-2": {
    source: ".dev.vars.example",
    text: "The example names every setting, with values that pass.",
  },
  "CONF-3": {
    source: "docs/deploy.md",
    text: "Staging and production are whole environments: their Workers are bound to one another, each given its own secrets.",
  },
  "CONF-4": {
    source: "docs/configuration.md",
    text: "A Worker names its malformed and missing settings at its start, never their values.",
  },
  "DOCTOR-1": {
    source: "npm run doctor",
    text: "Each misconfiguration of machine, settings and services is found with what to do; no value is told, no model paid.",
  },
  "DOCTOR-3": {
    source: "npm run doctor",
    text: "Every check is ok, warn or fail with its fix, as JSON too; the exit code is 1 if one failed.",
  },
  "DOCTOR-2": {
    source: "npm run doctor",
    text: "Wrangler files that do not fit together are found, in each environment.",
  },
  "SMOKE-1": {
    source: "npm run smoke",
    text: "A chat, a stream, a resume, a retry, history, a purge and an erasure pass against a deployment, and nothing stays there.",
  },
  "SMOKE-2": {
    source: "npm run smoke",
    text: "The step that fails is named with the error's code and the request's id; what was made is erased all the same.",
  },
  "OPS-1": {
    source: "npm run rollback",
    text: "The Workers of the newest release go back to the version before, callers first; a half-done deployment by its half.",
  },
  "OPS-2": {
    source: "npm run rollback",
    text: "The schema goes down only when asked, after the Workers, and never below what the running code knows.",
  },
  "EMBED-1": {
    source: "README.md, Models",
    text: "Texts become vectors by a model of the registry, in order, near for near texts, in the form that a client asks for.",
  },
  "EMBED-2": {
    source: "contracts/embeddings.ts",
    text: "A call for vectors fails, is tried again and goes elsewhere as one for an answer does; a reply that does not fit is none.",
  },
  "EMBED-3": {
    source: "README.md, Models",
    text: "A stock OpenAI client gets its vectors and its errors from POST /v1/embeddings.",
  },
  "SEM-1": {
    source: "docs/decisions/0049",
    text: "Another wording of a first question finds its answer where a deployment has chosen so, and only there; the path of a hit by key is as before.",
  },
  "SEM-2": {
    source: "docs/decisions/0049",
    text: "Two questions are the same only word by word: numbers, negations, names, order and letter case count.",
  },
  "SEM-3": {
    source: "docs/decisions/0049",
    text: "All else that an answer depends on must be the same; what is one user's is for no other wording.",
  },
  "SEM-4": {
    source: "docs/decisions/0049",
    text: "A purged answer is found under no wording; Postgres holds neither question nor answer.",
  },
  "SEM-5": {
    source: "docs/decisions/0049",
    text: "Without pgvector, or while the model or Postgres fails, turns go on as without it, and health says so.",
  },
  "SEM-6": {
    source: "docs/cache.md",
    text: "With it no answer of the workload is wrong, and more calls are saved.",
  },
  "MCP-20": {
    source: "README.md, Tools",
    text: "With embeddings the knowledge base is searched by words and meaning together; without them, or while they fail, by words.",
  },
  "V1-1": {
    source: "API: POST /v1/chat/completions",
    text: "An answer comes in OpenAI's form, in one piece or as chunks, with usage where it is asked for.",
  },
  "V1-2": {
    source: "API: POST /v1/chat/completions",
    text: "A client's own tools and its tool_choice reach the model, calls come back, results go on.",
  },
  "V1-3": {
    source: "API: POST /v1/chat/completions",
    text: "System and developer messages and parameters pass; nothing is added; what does not matter is passed over.",
  },
  "V1-4": {
    source: "docs/decisions/0046",
    text: "Below /v1 every fault has OpenAI's form; what would change an answer unseen is refused by its name.",
  },
  "V1-5": {
    source: "API: GET /v1/models",
    text: "Models are listed and found in OpenAI's form.",
  },
  "V1-6": {
    source: "docs/decisions/0046",
    text: "A stream that is cut ends with an error and without [DONE].",
  },
  "V1-7": {
    source: "API: POST /v1/chat/completions",
    text: "A call ends with its client, at the provider too.",
  },
  "V1-8": {
    source: "docs/decisions/0046",
    text: "Completions are cached by all that goes to the model; a conversation that has begun for its user alone.",
  },
  "V1-9": {
    source: "API: POST /v1/chat/completions",
    text: "The AI SDK works unchanged on /v1.",
  },
  "V1-10": {
    source: "API: POST /v1/chat/completions",
    text: "Images and files in messages are checked, passed on and part of the cache's key.",
  },
  "V1-11": {
    source: "API: /v1",
    text: "Listed pages may call from a browser with OpenAI's own client: a preflight allows each header that it sends.",
  },
  "V1-12": {
    source: "docs/decisions/0046",
    text: "OpenAI's client tries again what may go well, after the time that it is told, and nothing that would fail again.",
  },
  "V1-13": {
    source: "API: /v1",
    text: "OpenAI's client as its guides use it: helpers, tools in a loop, background, embeddings, images, structured answers, leaving.",
  },
  "RESP-9": {
    source: "API: POST /v1/responses",
    text: "A response is shown images and files, keeps them in its session, and answers in the form that is asked for.",
  },
  "RESP-10": {
    source: "docs/decisions/0046",
    text: "A response whose session rests is told again, without waking it, and is gone on from like any other.",
  },
  "RESP-11": {
    source: "docs/decisions/0046",
    text: "A response tells its request again, wherever it is read, as long as its turn is kept; its metadata for good.",
  },
  "RESP-12": {
    source: "docs/decisions/0046",
    text: "System and developer messages of a response's input reach the model at their place, and stay in the conversation.",
  },
  "RESP-13": {
    source: "docs/decisions/0046",
    text: "A response's input may be a conversation, with its calls and their outputs; what does not fit is refused.",
  },
  "RESP-1": {
    source: "API: POST /v1/responses",
    text: "A response is a turn of a session: told whole, as a stream, and again when it is asked for.",
  },
  "RESP-2": {
    source: "docs/decisions/0046",
    text: "previous_response_id goes on after that very turn; instructions are not carried over.",
  },
  "RESP-3": {
    source: "docs/decisions/0046",
    text: "A response's events have numbers that follow from the turn's log: a stream goes on after any of them without a gap.",
  },
  "RESP-4": {
    source: "API: POST /v1/responses/{response_id}/cancel",
    text: "A response in the background runs on by itself and is cancelled from anywhere.",
  },
  "RESP-5": {
    source: "docs/decisions/0046",
    text: "An answer that is begun again leaves an empty item; a cut is a failed response, never a clean end.",
  },
  "RESP-6": {
    source: "docs/decisions/0046",
    text: "Calls of a client's tools end a response; the next one goes on with each one's output.",
  },
  "RESP-7": {
    source: "API: DELETE /v1/responses/{response_id}",
    text: "Responses are their user's alone; one is deleted with its session unless others go on from it.",
  },
  "RESP-8": {
    source: "docs/decisions/0046",
    text: "What would change a response unseen is refused by its name.",
  },
  "UI-1": {
    source: "docs/decisions/0046",
    text: "A page's chat is a session under the page's own name for it, of its user alone; its history is ours.",
  },
  "UI-2": {
    source: "API: POST /chat/ui",
    text: "The AI SDK's reader shows a turn's text and its tools with their input and output, step by step.",
  },
  "UI-3": {
    source: "API: GET /chat/ui/{id}/stream",
    text: "A page that comes back is shown the running answer from its beginning; 204 when nothing runs.",
  },
  "UI-4": {
    source: "docs/decisions/0046",
    text: "An answer made again and a question put anew are branches, by the ids that the page has.",
  },
  "UI-5": {
    source: "docs/decisions/0046",
    text: "A reply that is begun again resets its step; one that is cut ends with an error.",
  },
  "UI-6": {
    source: "API: POST /chat/ui",
    text: "Files of a message are shown to the model; what is none, or no message of the user, is refused.",
  },
  "OPS-3": {
    source: "npm run setup",
    text: "What a deployment needs is asked for, checked, and written where git does not see it; no secret is shown.",
  },
  "MEDIA-1": {
    source: "docs/decisions/0045",
    text: "Images, audio and files reach the model in their order, in the provider's form.",
  },
  "MEDIA-2": {
    source: "docs/decisions/0045",
    text: "What is attached is what its bytes say; images are whole, still and of bounded size, told from headers.",
  },
  "MEDIA-3": {
    source: "docs/decisions/0045",
    text: "A request has so many attachments and bytes at most, besides what its words may have.",
  },
  "MEDIA-4": {
    source: "docs/decisions/0045",
    text: "Nothing is fetched; a provider is told an address only where its host is allowed.",
  },
  "MEDIA-5": {
    source: "docs/decisions/0045",
    text: "A model without the ability is not called; of earlier attachments it is told that they are missing.",
  },
  "MEDIA-10": {
    source: "docs/decisions/0045",
    text: "Text files reach every model as text; a PDF only providers that take files.",
  },
  "MEDIA-6": {
    source: "docs/decisions/0045",
    text: "Bytes are kept apart from messages, shown again in their place, and read by their owner alone.",
  },
  "MEDIA-7": {
    source: "docs/decisions/0045",
    text: "Postgres gets each file once; it rests, comes back and goes with its session.",
  },
  "MEDIA-8": {
    source: "docs/decisions/0045",
    text: "The cache's key holds what is attached by its hash; such answers are their user's alone.",
  },
  "MEDIA-9": {
    source: "docs/decisions/0045",
    text: "A file can be uploaded to a session and named by the parts of its messages, as if it stood in them; to nobody else.",
  },
  B62: { source: "faults", text: "Images that lie, are cut, too large or move, or are no image." },
  B63: { source: "faults", text: "Too many images, too many bytes." },
  B64: { source: "faults", text: "Addresses in place of images." },
  B65: { source: "faults", text: "Audio and video where they are not supported." },
  "FORMAT-1": {
    source: "docs/decisions/0045",
    text: "An answer in JSON is what was asked for, after one repair at most, or the turn fails by that name.",
  },
  "FORMAT-3": {
    source: "docs/decisions/0046",
    text: "A completion in one piece is held to its form as any answer is; a stream's is its client's to judge, and kept if it fits.",
  },
  "FORMAT-2": {
    source: "docs/decisions/0045",
    text: "Schemas are bounded in size, depth and reach; a model without the ability is not called.",
  },
  "REGION-1": {
    source: "docs/decisions/0048",
    text: "The id of a session and of its turns says for ever whether its object is in the EU.",
  },
  "REGION-2": {
    source: "docs/decisions/0048",
    text: "A session for the EU is made there or refused, never elsewhere; an Idempotency-Key stays one request.",
  },
  "REGION-3": {
    source: "docs/decisions/0048",
    text: "A session's object is made near its user.",
  },
  "METRICS-1": {
    source: "API: GET /metrics",
    text: "After a scripted run the figures of GET /metrics are what the stand-ins, the replies and the ledger have counted, of every call of a model.",
  },
  "METRICS-2": {
    source: "docs/decisions/0047",
    text: "Labels hold what comes from closed sets, never an id; series are bounded.",
  },
  "METRICS-3": {
    source: "API: GET /metrics",
    text: "Every metric is shown from the start, and a Prometheus parser reads it.",
  },
  "METRICS-4": {
    source: "API: GET /metrics",
    text: "GET /metrics is for admins and for the scrape token, which is taken from the Authorization header alone.",
  },
  "METRICS-5": {
    source: "docs/decisions/0047",
    text: "What sessions owe to Postgres is told while it is away, by /metrics and by /history/health.",
  },
  "METRICS-6": {
    source: "docs/decisions/0047",
    text: "Open streams, of turns and of direct calls, are counted down however they end.",
  },
  "METRICS-7": {
    source: "docs/decisions/0047",
    text: "Figures outlive the objects that add them up, in one row each.",
  },
  "METRICS-8": {
    source: "API: GET /metrics",
    text: "Dashboard and alert rules ask for metrics and labels that there are; the dashboard for each metric.",
  },
  "METRICS-9": {
    source: "docs/decisions/0047",
    text: "One batch in five seconds and isolate, however much is counted; a lost one is counted.",
  },
  "LOG-2": {
    source: "contracts/log.ts",
    text: "Lines below LOG_LEVEL are left out.",
  },
  "LOG-3": {
    source: "contracts/log.ts",
    text: "LOG_SAMPLE writes all lines of a request or none; errors, warnings and audits always.",
  },
  "LOG-4": {
    source: "contracts/log.ts",
    text: "Users stand in log lines as hashes.",
  },
  "LOG-5": {
    source: "contracts/trace.ts",
    text: "A caller's W3C trace is taken over or one is begun; it crosses all Workers, comes back, and stands in the lines.",
  },
  "LOG-8": {
    source: "docs/operations.md",
    text: "A drain and what Postgres says carry the id of the request they are for: of several, the newest, and a list.",
  },
  "LOG-9": {
    source: "docs/operations.md",
    text: "A purge tells its time. Every line but a start's has a request's id; what an object does by itself has one of its own.",
  },
  "LOG-10": {
    source: "README.md, Log",
    text: "Lines of a request and its turn tell route, status, error code, time a stage, cache, model, tokens and cost, and whose they are as a hash.",
  },
  "LOG-7": {
    source: "contracts/log.ts",
    text: "A model that no setting names is `other` in a log line, as in a label.",
  },
  "OPS-4": {
    source: "docs/operations.md",
    text: "Each alert says what it means and what to do.",
  },
  "RETAIN-1": {
    source: "docs/storage.md",
    text: "A session that nobody has used for the deployment's time is deleted everywhere, and no younger one; a dry run counts.",
  },
  "RETAIN-2": {
    source: "docs/storage.md",
    text: "Its object decides: what was used since stays. A store that is away only delays the deletion.",
  },
  "RETAIN-3": {
    source: "docs/storage.md",
    text: "A message older than the deployment keeps them is deleted everywhere, as many as a dry run counts; its session goes on.",
  },
  "RETAIN-4": {
    source: "docs/storage.md",
    text: "A message whose parent has gone is a first message: branches, pages and new turns stay right.",
  },
  "RETAIN-5": {
    source: "docs/storage.md",
    text: "A session without a message left stays for its own time, and no place is given twice while its object holds it.",
  },
  "RETAIN-6": {
    source: "docs/storage.md",
    text: "What has not reached Postgres, and what is younger, is never removed with the old.",
  },
  "RETAIN-7": {
    source: "docs/storage.md",
    text: "An attached file goes with the last message that refers to it, and not before.",
  },
  "RETAIN-8": {
    source: "docs/storage.md",
    text: "Turn logs, and checkpoints that outlived their turn, are deleted when their time is over, as many as a dry run counts.",
  },
  "RETAIN-9": {
    source: "API: GET /history/retention",
    text: "An admin alone is told what is kept for how long.",
  },
  "MCP-21": {
    source: "API: /mcp/servers",
    text: "All remote servers together offer no more tools than fit into one list, each under a name of its own; too many are refused, and too long a list costs nobody all tools.",
  },
  "MCP-22": {
    source: "docs/decisions/0032",
    text: "Who accepts a server's list is shown all of it that a model reads, and its order is no change.",
  },
  "MCP-23": {
    source: "docs/decisions/0032",
    text: "A remote server's failures are its own: calls that are cancelled are none, and a server that joins again begins anew.",
  },
  "MCP-24": {
    source: "Model Context Protocol 2025-11-25: resources",
    text: "A session of any length can be read as a resource: the newest messages that fit, and a mark of what is left out.",
  },
  "MCP-25": {
    source: "Model Context Protocol 2025-11-25: resources/subscribe",
    text: "A client is told of a change of the sessions that it has subscribed to, of 32 at most.",
  },
};
