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
    text: "A body over the limit or compressed is refused.",
  },
  B9: {
    source: "bad input",
    text: "Another media type or charset is refused.",
  },
  B11: {
    source: "bad input",
    text: "A method that a route does not have is answered with 405 and Allow.",
  },
  B12: {
    source: "bad input",
    text: "A path near a route is not that route.",
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
    text: "A model that stalls ends as upstream_timeout, and its connection is closed.",
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
    text: "Sign-in and sign-up are limited, exactly, also under parallel requests.",
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
    text: "Redis that is full, or refuses a command, is passed by.",
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
  P13: {
    source: "budgets",
    text: "Over 40-turn sessions with trims and tools at least 0.90 of the possible prefix is reused.",
  },
};
