/**
 * What nobody should send: values, bodies, headers and paths that have broken other servers. Pure data; each is sent somewhere in a fuzz
 * run, and none may do more than be refused or be taken for the text that it is.
 */

const LONG = 10_000;

/** Injections, separators, controls and text that is not what it looks like. */
export const STRINGS: readonly string[] = [
  ...["", " ", "\t\n", "\u200b\u200d", "\u0000", "a\u0000b", "\ud800", "a\udfffb", "\ufffe", "\ufeffx", "\u202etxet"],
  ...[
    "' OR 1=1--",
    "' OR '1'='1",
    "'; DROP TABLE messages;--",
    "$1",
    "%",
    "_",
    "\\",
    '"',
    "`",
    "$$",
    "1; SELECT pg_sleep(9)",
  ],
  ...["../../x", "..\\..\\x", "/etc/passwd", "%2e%2e%2f", "*", "a:b:c", "?", "[", "a\r\nX-Evil: 1", "gpt-4\r\nX: y"],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "{{7*7}}", "${7*7}", "<script>alert(1)</script>"],
  ...["data: {}\n\n", "id: 9\nevent: done\ndata: {}\n\n", "event: error", ": keep-alive", "[DONE]", "data: [DONE]"],
  ...["9999-99-99", "0000-00-00", "infinity", "-infinity", "epoch", "now", "2026-02-30T00:00:00Z", "1970-01-01"],
  ...["NaN", "Infinity", "1e309", "0x10", "-1", "0", "1.5", "1e9", "99999999999999999999", "null", "true", "undefined"],
  ...[
    "\u0041\u030a",
    "\u212b",
    "\u0430dmin",
    "ADMIN",
    "admin",
    "system",
    "\u{1f469}\u200d\u{1f680}",
    "\u0130",
    "\u00df",
  ],
  ...["asc", "desc nulls", "id;drop", "http://169.254.169.254/", "file:///etc/passwd", "javascript:alert(1)"],
  ...["a".repeat(LONG), "\u0301".repeat(LONG), "(".repeat(LONG), "\u{1f600}".repeat(LONG / 2)],
];

export const NUMBERS: readonly number[] = [
  ...[
    0,
    -0,
    -1,
    1.5,
    -0.1,
    2.1,
    1e9,
    1e308,
    -1e308,
    5e-324,
    2 ** 31,
    2 ** 31 - 1,
    2 ** 53,
    2 ** 53 + 2,
    2 ** 63,
    129_000,
  ],
];

/** Built by JSON.parse: a literal `__proto__` would set the prototype. */
const POISONED: unknown = JSON.parse('{"__proto__":{"role":"admin"},"constructor":{"prototype":{"role":"admin"}}}');

export const VALUES: readonly unknown[] = [
  ...[null, true, false, [], {}, [[]], [null], [{}], { a: 1 }, POISONED, { $gt: "" }, { toString: 1 }, [1, "1", null]],
  nested(200, "list"),
  nested(200, "object"),
  Array.from({ length: 1_001 }, () => "x"),
  Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, at])),
];

/** Names that a schema does not have, and that would be worth having. */
export const NAMES: readonly string[] = [
  ...["role", "is_admin", "user_id", "id", "token_version", "created_at", "api_base", "base_url", "extra_headers", "n"],
  ...[
    "logit_bias",
    "stop",
    "system",
    "__proto__",
    "constructor",
    "",
    "a".repeat(300),
    "sort",
    "filter",
    "order",
    "\u0000",
  ],
];

/** Whole bodies: no JSON, no object, not UTF-8, or far too much of it. */
export const BODIES: readonly (string | Buffer)[] = [
  ...[
    "",
    "{",
    "}",
    '{"a":1}{"b":2}',
    '{"prompt":"a",}',
    "{'prompt':'a'}",
    '{"temperature":NaN}',
    "undefined",
    "\u0000",
  ],
  ...[
    "null",
    "[]",
    '"x"',
    "1",
    "true",
    "[[[[[[]]]]]]",
    '{"prompt":"\\ud800"}',
    '{"prompt":"a","prompt":"b"}',
    "\ufeff{}",
  ],
  Buffer.from('{"prompt":"Hi"}', "utf16le"),
  Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  Buffer.from('{"prompt":"caf\u00e9"}', "latin1"),
  `${"[".repeat(10_000)}${"]".repeat(10_000)}`,
  `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
  `[${"1,".repeat(100_000)}1]`,
  `{${Array.from({ length: 20_000 }, (_, at) => `"k${at}":${at}`).join(",")}}`,
];

/** Header values by name; only what an HTTP client can send at all. */
export const HEADERS: Readonly<Record<string, readonly string[]>> = {
  "content-type": [
    ...["text/plain", "multipart/form-data", "application/json; charset=utf-16", "application/x-ndjson", ""],
    ...["application/x-www-form-urlencoded", "application/json;;;", 'application/json; charset="UTF-8"', "*/*"],
  ],
  "content-encoding": ["gzip", "br", "identity", "nonsense"],
  accept: ["image/png", "text/event-stream", "application/json", "*/*;q=0", ",,,"],
  "idempotency-key": ["", " ", "a", "a".repeat(300), "caf\u00e9", "a b", "same-key", "../x", "{}"],
  "last-event-id": ["-1", "abc", "1e30", "0", "1", "99999999999999999999", "", "0x1", "1.5"],
  origin: ["https://evil.example", "null", "http://localhost", "", "https://a.example, https://b.example"],
  "sec-fetch-site": ["cross-site", "same-origin", "none"],
  "mcp-session-id": ["", "a", "../x", "01a208de-e947-7048-8025-8d0d150d1078"],
  "mcp-protocol-version": ["2025-06-18", "1999-01-01", "", "draft"],
  "x-forwarded-for": ["127.0.0.1", "' OR 1=1--"],
  "x-request-id": ["mine", "a".repeat(500)],
  "x-basechat-user": ["01a208de-e947-7048-8025-8d0d150d1078", "admin"],
  "x-http-method-override": ["DELETE", "GET"],
  range: ["bytes=0-1", "bytes=-1", "lines=1"],
  "if-none-match": ["*", '"a"'],
  cookie: ["access_token=x; session=y", "__proto__=1"],
};

const inBase64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = { sub: "01a208de-e947-7048-8025-8d0d150d1078" };

/** In place of a bearer credential. */
export const CREDENTIALS: readonly string[] = [
  ...[
    "",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Basic dXNlcjpwYXNz",
    "bearer x",
    "Bearer ' OR '1'='1",
    "Bearer %",
    "Bearer _",
  ],
  `Bearer ${inBase64({ alg: "none", typ: "JWT" })}.${inBase64(claims)}.`,
  `Bearer bck_${inBase64({ alg: "HS512", typ: "JWT" })}.${inBase64(claims)}.AAAA`,
  `Bearer bck_${"a".repeat(5_000)}`,
];

/** Ways to write a path so that it is nearly the same. */
export const PATH_CHANGES: readonly ((path: string) => string)[] = [
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => path.toUpperCase(),
  (path) => path.replace(/\/(\w+)/, "/%2e%2e/$1"),
  (path) => path.replace(/(.)\/(\w+)$/, "$1%2f$2"),
  (path) => `${path}%00`,
  (path) => `${path}/..`,
  (path) => `/./${path.slice(1)}`,
  (path) => `${path};a=b`,
  (path) => `${path}%zz`,
  (path) => `${path}/${"a".repeat(3_000)}`,
];

export const QUERIES: readonly string[] = [
  ...[
    "a=b",
    "a[b]=c",
    "limit=1&limit=2",
    "sort=id;drop",
    "filter[metadata-%3E%3Ex]=1",
    "order=desc%20nulls",
    "limit=",
    "%",
    "=",
  ],
  ...["limit=%00", "cursor=garbage", "cursor=%E0%80%80", "__proto__=1", "&&&", "?", "token=x", "limit=1e9", "limit=-1"],
  Array.from({ length: 200 }, (_, at) => `p${at}=1`).join("&"),
  `q=${"a".repeat(17_000)}`,
];

/** Methods that the runtime knows how to read. */
export const METHODS: readonly string[] = [
  "GET",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "HEAD",
  "TRACE",
  "PROPFIND",
];

function nested(depth: number, kind: "list" | "object"): unknown {
  let value: unknown = 1;
  for (let at = 0; at < depth; at += 1) value = kind === "list" ? [value] : { a: value };
  return value;
}
