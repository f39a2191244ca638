/**
 * `npm run mcp:conformance`: the official conformance suite against /mcp of a house, every scenario that revision 2025-11-25 requires of a
 * server. State: the house, for as long as it takes. The suite has no credentials, so a proxy on loopback adds one; it changes nothing else.
 */
import { spawn } from "node:child_process";
import { createServer, request as ask, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bundles, buildWorkers } from "./build.ts";
import { openHouse } from "./house.ts";

const SUITE = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));
const REVISION = "2025-11-25";

export interface ConformanceReport {
  passed: boolean;
  output: string;
}

export async function runServerSuite(bundles: Bundles): Promise<ConformanceReport> {
  const house = await openHouse({ bundles, settings: { MCP_CONFORMANCE: "1" } });
  try {
    const { apiKey } = await house.newTenant();
    const proxy = await openProxy(house.url, apiKey);
    try {
      return await runSuite(["server", "--url", `${proxy.url}/mcp`, "--requirements", REVISION]);
    } finally {
      await proxy.close();
    }
  } finally {
    await house.close();
  }
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
  const { passed, output } = await runServerSuite(await buildWorkers());
  console.log(output);
  process.exitCode = passed ? 0 : 1;
}
