/**
 * Cuts a test file off from the network: whatever reaches past loopback throws and names the host. A setup file of vitest.
 * It sees its own process only: a workerd that a test starts is given loopback addresses by the test.
 */
import { isIP, type NetConnectOpts, Socket } from "node:net";

class NetworkRefused extends Error {
  constructor(host: string) {
    super(`tests must not leave this machine: refused to connect to ${host}`);
    this.name = "NetworkRefused";
  }
}

refuseSockets();
refuseFetch();

/** TCP, TLS, HTTP, WebSocket and the built-in fetch all end in this one method. */
function refuseSockets(): void {
  const connect = Socket.prototype.connect;
  Socket.prototype.connect = function guarded(this: Socket, ...args: unknown[]): Socket {
    const host = hostOf(args);
    if (host !== undefined && !isLoopback(host)) throw new NetworkRefused(host);
    return Reflect.apply(connect, this, args) as Socket; // the method given back is the one taken
  };
}

/** Refused before a connection too: fetch would hide the host behind "fetch failed". */
function refuseFetch(): void {
  const fetch = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol.startsWith("http") && !isLoopback(url.hostname)) throw new NetworkRefused(url.hostname);
    return fetch(input, init);
  };
}

/** The host of `connect(options)`, `connect(port, host)`, `connect(path)` or Node's own `connect([options])`. */
function hostOf(args: unknown[]): string | undefined {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  if (typeof first === "object" && first !== null) {
    const options = first as Partial<{ host: string; path: string | null }> & Partial<NetConnectOpts>; // Node checked it
    return options.path ? undefined : (options.host ?? "localhost");
  }
  if (typeof first === "string" && !/^\d+$/.test(first)) return undefined; // the path of a Unix socket
  return typeof second === "string" ? second : "localhost";
}

/** Loopback by name or address; another name is not looked up, whatever it would resolve to. */
function isLoopback(host: string): boolean {
  const name = host
    .toLowerCase()
    .replaceAll(/[[\]]/g, "")
    .replace(/^::ffff:(?=\d+\.)/, "");
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1") return true;
  return isIP(name) === 4 && name.startsWith("127.");
}
