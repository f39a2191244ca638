/**
 * `npm run mcp:conformance`: the official conformance suite. Against /mcp of a house, every scenario that revision 2025-11-25 requires of a
 * server; for our client of remote servers, those that need neither OAuth nor a person. State: the house, for as long as it takes. The suite has
 * no credentials, so a proxy on loopback adds one; it changes nothing else.
 */
import { spawn } from "node:child_process";
import { createServer, request as ask, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bundles, buildWorkers } from "../build.ts";
import { openHouse } from "../house.ts";

const SUITE = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));
const REVISION = "2025-11-25";

export interface ConformanceReport {
  passed: boolean;
  output: string;
}

export async function runServerSuite(bundles: Bundles, revision = REVISION): Promise<ConformanceReport> {
  const house = await openHouse({ bundles, settings: { MCP_CONFORMANCE: "1" } });
  try {
    const { apiKey } = await house.newTenant();
    const proxy = await openProxy(house.url, apiKey);
    try {
      return await runSuite(["server", "--url", `${proxy.url}/mcp`, "--requirements", revision]);
    } finally {
      await proxy.close();
    }
  } finally {
    await house.close();
  }
}

/** Scenarios of a client: it offers servers nothing, and sends them headers in place of OAuth, so the others are not for it. */
const CLIENT_SCENARIOS = ["initialize", "tools_call", "sse-retry"];

export async function runClientSuite(): Promise<ConformanceReport> {
  const command = `${process.execPath} ${join(import.meta.dirname, "client.ts")}`;
  const reports: ConformanceReport[] = [];
  for (const scenario of CLIENT_SCENARIOS) {
    reports.push(await runSuite(["client", "--command", command, "--scenario", scenario, "--spec-version", REVISION]));
  }
  return { passed: reports.every(({ passed }) => passed), output: reports.map(({ output }) => output).join("\n") };
}

/** Adds the credential; Host and Origin pass as they are, since they are what one scenario is about. */
async function openProxy(target: URL, apiKey: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    const { method, url = "/", headers } = incoming;
    const options = { host: target.hostname, port: target.port, path: url, method, setHost: false };
    const onward = ask({ ...options, headers: { ...headers, authorization: `Bearer ${apiKey}` } }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${portOf(server)}`, close: () => closeServer(server) };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no TCP address");
  return address.port;
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

async function runSuite(args: string[]): Promise<ConformanceReport> {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [SUITE, ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => (output += text));
      }
      child.once("error", reject);
      child.once("exit", (code) => resolve({ passed: code === 0, output }));
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const reports = [await runClientSuite(), await runServerSuite(await buildWorkers())];
  for (const { output } of reports) console.log(output);
  process.exitCode = reports.every(({ passed }) => passed) ? 0 : 1;
}
