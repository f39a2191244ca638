/**
 * Our client of remote servers as the conformance suite runs it: `node client.ts <address>` lists the tools of the suite's server and calls the
 * first one. No state. Exits with 1 if it cannot.
 */
import { callRemote, listRemote } from "../../workers/mcp/protocol/remote.ts";

const url = process.argv.at(-1) ?? "";
const options = {
  url,
  headers: {},
  fetch: (address: string, init: RequestInit) => fetch(address, init),
  signal: AbortSignal.timeout(20_000),
};

const listed = await listRemote(options);
if (!listed.ok) throw new Error(`the tools cannot be listed: ${listed.why}`);
const [tool] = listed.value as { name: string }[]; // the suite's own
if (tool !== undefined) {
  const called = await callRemote(
    { ...options, session: listed.session },
    { name: tool.name, arguments: { a: 2, b: 3 } },
  );
  if (!called.ok) throw new Error(`the tool cannot be called: ${called.why}`);
}
