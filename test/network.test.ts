/** The guard of test/network.ts, which vitest loads before every test file. No test here sends a packet. */
import { createServer as createHttpServer, get } from "node:http";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";

const server = createHttpServer((_request, response) => response.end("hello"));
let port = 0;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port; // it listens on TCP
});
afterAll(() => server.close());

test.each(["http://example.com/", "https://192.0.2.1/x", "http://[2001:db8::1]:80/", "http://127.0.0.1.example.com/"])(
  "[NET-1] fetch of %s is refused and names the host",
  async (url) => {
    await expect(fetch(url)).rejects.toThrow(`refused to connect to ${new URL(url).hostname}`);
    await expect(fetch(new Request(url))).rejects.toThrow("must not leave this machine");
  },
);

test.each([
  ["net.connect(port, host)", () => connect(80, "example.com")],
  ["net.connect(options)", () => connect({ port: 5432, host: "example.com" })],
  ["socket.connect(port, host)", () => new Socket().connect(80, "example.com")],
  ["tls.connect", () => connectTls({ port: 443, host: "example.com" })],
  ["http.get", () => get("http://example.com/")],
])("[NET-1] %s is refused and names the host", (_name, open) => {
  expect(open).toThrow("refused to connect to example.com");
});

test("[NET-1] loopback is open, by name, by address and without a host", async () => {
  for (const host of ["localhost", "127.0.0.1"]) {
    expect(await (await fetch(`http://${host}:${port}/`)).text()).toBe("hello");
  }
  for (const options of [{ port }, { port, host: "127.0.0.1" }, { port, host: "localhost" }]) {
    expect(await isOpened(connect(options))).toBe(true);
  }
});

test("[NET-1] Unix sockets are open", async () => {
  const path = `\0basechat-test-${process.pid}`;
  const local = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => local.listen(path, resolve));
  expect(await isOpened(connect(path))).toBe(true);
  local.close();
});

async function isOpened(socket: Socket): Promise<boolean> {
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.destroy();
  return true;
}
