/**
 * What every stand-in shares: an HTTP server on 127.0.0.1 that counts calls, injects latency and faults, and can be
 * watched (`GET /_stats`) and steered (`POST /_control`). State lives in this process and ends with `close()`.
 * Refuses: any other interface, modes that the stand-in does not know, unknown control fields.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { ControlError, isMode, parseControl, type ControlChange, type Modes } from "./serve/control.ts";
import { createMeter, type Meter, type Stats } from "./serve/meter.ts";

export interface StandInRequest {
  method: string;
  /** Without the query string. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Aborts when the connection ends before the reply did, whoever ended it. */
  signal: AbortSignal;
}

/** What a handler may ask of its server. `mode` and `latencyMs` are those in force when the request arrived. */
export interface StandInCall {
  mode: string;
  latencyMs: number;
  /** Adds to an own counter of the stand-in, shown in `_stats` under this name. */
  count(counter: string, by?: number): void;
  /** Ends the connection in the middle of the reply; not counted as a client that left. */
  hangUp(how: "close" | "reset"): void;
  /** Waits, or rejects with AbortError once the connection ended. */
  wait(ms: number): Promise<void>;
}

export type Handle = (request: StandInRequest, response: ServerResponse, call: StandInCall) => Promise<void> | void;

export interface StandInOptions {
  name: string;
  /** 0 or left out: any free port. */
  port?: number;
  handle: Handle;
  /** Faults beside "up" and "down": a list, or a check for a grammar. */
  modes?: Modes;
  /** Own counters shown from the start, at 0. */
  counters?: readonly string[];
  /** How time passes; tests may pass their own. */
  delay?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface StandIn {
  name: string;
  url: string;
  port: number;
  stats(): Stats;
  /** Same as POST /_control; throws on a mode that does not exist. */
  control(change: ControlChange): void;
  /** Resolves once the figures satisfy `check`: the way to wait without sleeping. */
  until(check: (stats: Stats) => boolean): Promise<Stats>;
  /** Ends every open connection and the server. */
  close(): Promise<void>;
}

export async function serveStandIn(options: StandInOptions): Promise<StandIn> {
  const meter = createMeter(options.counters ?? []);
  const state = { mode: "up", latencyMs: 0 };
  const open = new Set<() => void>();

  const change = (wanted: ControlChange): void => {
    if (wanted.mode !== undefined && !isMode(wanted.mode, options.modes))
      throw new ControlError(`unknown mode: ${wanted.mode}`);
    state.mode = wanted.mode ?? state.mode;
    state.latencyMs = wanted.latencyMs ?? state.latencyMs;
    if (state.mode === "down") for (const reset of [...open]) reset();
  };

  const server = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? "/", "http://stand-in");
    const answered =
      url.pathname === "/_stats" || url.pathname === "/_control"
        ? answerControl(incoming, response, { change, state, meter })
        : answerCall(incoming, response, { url, options, state, meter, open });
    answered.catch((error: unknown) => fail(options.name, response, error));
  });
  // A client may reuse an idle connection at any time: never the server ends it first.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error(`${options.name}: no TCP address`);

  return {
    name: options.name,
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    stats: meter.stats,
    control: change,
    until: meter.until,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** Ends a reply with JSON. */
export function replyJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

interface CallParts {
  url: URL;
  options: StandInOptions;
  state: { mode: string; latencyMs: number };
  meter: Meter;
  open: Set<() => void>;
}

async function answerCall(incoming: IncomingMessage, response: ServerResponse, parts: CallParts): Promise<void> {
  const { url, options, state, meter, open } = parts;
  const gone = new AbortController();
  let cutHere = false;
  const hangUp = (how: "close" | "reset"): void => {
    cutHere = true;
    if (how === "reset") incoming.socket.resetAndDestroy();
    else incoming.socket.destroy();
  };
  const reset = (): void => hangUp("reset");

  // A write that comes after the client left has nobody to tell.
  response.on("error", () => undefined);
  meter.started();
  open.add(reset);
  response.once("close", () => {
    open.delete(reset);
    const finished = response.writableFinished;
    if (!finished) gone.abort();
    meter.ended(!finished && !cutHere);
  });
  if (state.mode === "down") return reset();

  const { mode, latencyMs } = state;
  const delay = options.delay ?? ((ms, signal) => sleep(ms, undefined, { signal }));
  try {
    const body = await readBody(incoming);
    if (body.length > 0) meter.seen(body);
    if (latencyMs > 0) await delay(latencyMs, gone.signal);
    const { method = "GET", headers } = incoming;
    await options.handle(
      { method, path: url.pathname, query: url.searchParams, headers, body, signal: gone.signal },
      response,
      {
        mode,
        latencyMs,
        count: meter.count,
        hangUp,
        wait: (ms) => delay(ms, gone.signal),
      },
    );
  } catch (error) {
    // The connection is gone: whatever the handler was doing has no reader.
    if (!gone.signal.aborted && !incoming.socket.destroyed) throw error;
  }
}

interface ControlParts {
  change: (wanted: ControlChange) => void;
  state: { mode: string; latencyMs: number };
  meter: Meter;
}

async function answerControl(incoming: IncomingMessage, response: ServerResponse, parts: ControlParts): Promise<void> {
  const stats = incoming.url?.startsWith("/_stats") === true;
  if (incoming.method !== (stats ? "GET" : "POST")) return replyJson(response, 405, { error: "method not allowed" });
  if (stats) return replyJson(response, 200, parts.meter.stats());
  try {
    parts.change(parseControl(await readBody(incoming)));
    replyJson(response, 200, { mode: parts.state.mode, latency_ms: parts.state.latencyMs });
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    replyJson(response, 400, { error: error.message });
  }
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // The stream carries Buffers: no encoding is ever set on it.
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function fail(name: string, response: ServerResponse, error: unknown): void {
  console.error(`${name} stand-in:`, error);
  if (response.headersSent) response.destroy();
  else replyJson(response, 500, { error: "the stand-in failed; see its log" });
}
