/**
 * Ten thousand requests that fast-check makes from the routes' own schemas, against one real house: no reply is a 5xx, none is late for
 * ever, and each error is one of ours. FUZZ_SEED and FUZZ_RUNS repeat a run or make another one. State: a house.
 */
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listRoutes } from "../dev/routes.ts";
import type { Route } from "../workers/main/http/route.ts";
import { FuzzClient } from "./fuzz/client.ts";
import { isNested, regexesOf } from "./fuzz/regexes.ts";
import { findFault } from "./fuzz/judge.ts";
import { anyRequest, goodRequest, type FuzzRequest } from "./fuzz/requests.ts";
import { toJsonSchema } from "./fuzz/values.ts";
import { type House, openHouse } from "./house.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_261_125);
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 10_000);
/** So many requests are under way at a time; each lane has its own seed. */
const LANES = 6;
const PEOPLE = 6;
const PATIENT = { timeout: 900_000 };

const ROUTES = listRoutes();
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;
/**
 * What waits: no turn waits for a person here, and nobody listens to what a server says unasked. And what needs a remote server: there is
 * none on this network.
 */
const NEVER_GOOD = [
  ...["POST /chat/turns/{turn_id}/approvals", "GET /mcp"],
  ...["POST /mcp/servers", "DELETE /mcp/servers/{name}"],
  ...["POST /mcp/servers/{name}/check", "POST /mcp/servers/{name}/accept"],
];

let house: House;
let client: FuzzClient;
beforeAll(async () => {
  house = await openHouse();
  client = new FuzzClient(house);
  await client.invite(PEOPLE);
});
afterAll(async () => {
  client.close();
  await house.close();
});

/** Sends it, and throws what is wrong with the reply. */
async function expectGood(request: FuzzRequest): Promise<number> {
  const reply = await client.send(request);
  const fault = await findFault(request, reply, client.credentials);
  if (fault !== undefined) throw new Error(fault);
  return reply.status;
}

function tell(what: string, byStatus: ReadonlyMap<number, number>): void {
  const counts = [...byStatus].sort(([a], [b]) => a - b).map(([status, count]) => `${count} x ${status}`);
  console.log(`${what}: ${counts.join(", ")}`);
}

/** Nothing is under way any more, and nothing was thrown that nobody expected. */
async function expectCalm(): Promise<void> {
  await house.llm.until((stats) => stats.in_flight === 0);
  expect(house.lines.filter((line) => "stack" in line || isComplaint(line))).toEqual([]);
}

/** The runtime notes when an alarm is set anew just as it was to go off, and when it goes off late; no alarm is lost. */
const NOTES = /alarm handler canceled|alarm overdue/;
function isComplaint({ service, message }: Record<string, unknown>): boolean {
  return service === "runtime" && !NOTES.test(String(message));
}

test("[FUZZ-1] [S17] 10,000 generated requests: no 5xx, no hang, and each error is one of ours", PATIENT, async () => {
  const byStatus = new Map<number, number>();
  const reached = new Set<string>();
  const ask = async (request: FuzzRequest): Promise<void> => {
    const status = await expectGood(request);
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    if (status < 300) reached.add(request.route);
  };
  const property = fc.asyncProperty(anyRequest(ROUTES, PEOPLE), ask);
  console.log(`fuzz: FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);
  const lanes = Array.from({ length: LANES }, (_, at) =>
    fc.assert(property, { seed: SEED + at, numRuns: Math.ceil(RUNS / LANES) }),
  );
  // Each to its end: a lane that goes on would be cut by the house's closing and hide the fault.
  const failed = (await Promise.allSettled(lanes)).filter((lane) => lane.status === "rejected");
  tell(`fuzz, with ${client.replaced} people replaced and ${client.late} requests repeated`, byStatus);
  const faults = failed.map(({ reason }: { reason: Error }) => `${String(reason.cause)}\n${reason.message}`);
  expect(faults.map((fault) => fault.slice(0, 4_000))).toEqual([]);
  // A run that only ever meets refusals would prove little; what chance has left out is asked until it is not refused.
  const isUnreached = (route: Route): boolean => !reached.has(nameOf(route)) && !NEVER_GOOD.includes(nameOf(route));
  for (const route of ROUTES.filter(isUnreached)) {
    const once = async (request: FuzzRequest) => (isUnreached(route) ? ask(request) : undefined);
    await fc.assert(fc.asyncProperty(goodRequest(route, PEOPLE), once), { seed: SEED, numRuns: 300 });
  }
  expect(ROUTES.filter(isUnreached).map(nameOf)).toEqual([]);
  await expectCalm();
});

/** Texts on which a careless pattern, or a parser that goes back, would work for hours. */
const LONG = 100_000;
const ADVERSARIAL = [
  ...["a", " ", "(", "1+", "\\", '"', "\u200b", "\u0301", "a.", "-", "9", "{{", "[[[", "\n", "https://", "@a"],
].map((part) => part.repeat(Math.ceil(LONG / part.length)).slice(0, LONG));
const ENDS = ["", "!", "\u0000", "@"];

test("[S29] texts of 100 kB in every field: each is answered once, with one model call at most", PATIENT, async () => {
  const byStatus = new Map<number, number>();
  const calls = house.llm.stats().calls;
  const requests = ROUTES.flatMap((route) => adversarialOf(route));
  expect(requests.length).toBeGreaterThan(300);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
      const status = await expectGood(request);
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  tell("100 kB texts", byStatus);
  expect(house.llm.stats().calls - calls).toBeLessThanOrEqual(byStatus.get(200) ?? 0);
  await expectCalm();
});

/** A request for each field that takes a text, and each long text, in turn with its end. */
function adversarialOf(route: Route): FuzzRequest[] {
  const { body, path } = route;
  const send = (text: string): FuzzRequest => ({
    ...{ route: nameOf(route), method: route.method, isOpen: route.access === "open", body: text, chunked: false },
    path: path.replaceAll(/\{(\w+)\}/g, "{{$1 own 0}}"),
    headers: {
      "content-type": [route.bodyType ?? "application/json"].flat().at(-1) ?? "",
      accept: "application/json, text/event-stream",
    },
    as: 2,
  });
  if (body === undefined) return [];
  const texts = ADVERSARIAL.map((text, at) => text + ENDS[at % ENDS.length]);
  if (body === "raw") return texts.map(send);
  if (path === "/mcp/tools/call") {
    const calls = [{ tool_name: "calculator" }, { tool_name: "echo" }, { tool_name: "current_time" }];
    const given = (text: string) => ({ input_data: { expression: text, text, timezone: text } });
    const only = (text: string) => ({ tool_name: "calculator", input_data: { expression: text } });
    return texts.flatMap((text) =>
      [...calls.map((call) => ({ ...call, ...given(text) })), only(text)].map((one) => send(JSON.stringify(one))),
    );
  }
  const schema = toJsonSchema(body);
  const root = schema.$defs?.[schema.$ref?.split("/").at(-1) ?? ""] ?? schema;
  const good = path.startsWith("/chat") ? { tools: "none", cache: { mode: "no-store" } } : {};
  return Object.entries(root.properties ?? {})
    .filter(([, field]) => field.type === "string")
    .flatMap(([name]) => texts.map((text) => send(JSON.stringify({ ...good, [name]: text }))));
}

test("[S29] no pattern of the Workers repeats what repeats inside", async () => {
  const root = join(import.meta.dirname, "..");
  const found: string[] = [];
  let patterns = 0;
  for await (const file of glob("{contracts,workers}/**/*.ts", { cwd: root })) {
    if (file.endsWith(".test.ts")) continue;
    for (const pattern of regexesOf(await readFile(join(root, file), "utf8"))) {
      patterns += 1;
      if (isNested(pattern)) found.push(`${file}: ${pattern}`);
    }
  }
  console.log(`${patterns} patterns`);
  expect(patterns).toBeGreaterThan(20);
  expect(found).toEqual([]);
  expect(["(a+)+", "(?:a|b*)*x", "([^x]*y?){2,}"].map(isNested)).toEqual([true, true, true]);
  expect(["(a+)?", "(?:ab)+", "[a+]+", String.raw`\(a+\)+`, "(a{2}){3}"].map(isNested)).not.toContain(true);
});
