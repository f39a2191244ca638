import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HostList, readAddress } from "./address.ts";

const ALLOWED = ["pages.example.com", "*.docs.example.org"];
const isOpen = (text: string, allowed = ALLOWED) => readAddress(text, allowed) !== undefined;

describe("[MCP-11] an address", () => {
  test.each([
    "https://pages.example.com/",
    "http://pages.example.com:80/a?b=c#d",
    "https://PAGES.example.com/",
    "https://a.b.docs.example.org/x",
  ])("%s may be fetched", (address) => expect(isOpen(address)).toBe(true));

  test.each([
    "https://example.com/",
    "https://docs.example.org/",
    "https://evilpages.example.com/",
    "https://pages.example.com.evil.com/",
  ])("[B74] %s is of a host that is not listed", (address) => expect(isOpen(address)).toBe(false));

  const PRIVATE = [
    ...["127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"],
    ...["[::1]", "[::]", "[fd00::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "foo.localhost", "printer.local"],
  ];
  test.each(PRIVATE)("[B70] %s is never fetched, listed or not", (host) => {
    for (const allowed of [ALLOWED, [host], [`*.${host}`], ["*.localhost", "*.local"]]) {
      expect(isOpen(`http://${host}/`, allowed)).toBe(false);
    }
  });

  test.each(["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7f000001", "１２７.0.0.1", "127.0.0.1.", "0"])(
    "[B71] %s is a number in another notation",
    (host) => expect(isOpen(`http://${host}/`, [host, "127.0.0.1"])).toBe(false),
  );

  test.each([
    ...[22, 25, 6379, 8080, 8443, 65535].map((port) => `http://pages.example.com:${port}/`),
    ...["https://metadata.google.internal/", "https://metadata.google.internal./", "https://pages.example.com./"],
    ...["https://pаges.example.com/", "https://xn--pges-53d.example.com/", "https://user:pw@pages.example.com/"],
    ...["https://pages.example.com@evil.com/", "file:///etc/passwd", "ftp://pages.example.com/", "javascript:alert(1)"],
    ...[
      "data:text/plain,x",
      "gopher://pages.example.com/",
      "//pages.example.com/",
      "/x",
      "",
      " ",
      "https://",
      "https:///x",
    ],
    `https://pages.example.com/${"x".repeat(2_100)}`,
  ])("[B76] %s is refused", (address) => expect(isOpen(address)).toBe(false));

  test("[S7] no address in any notation of any number is fetched, whatever is listed", () => {
    const notation = fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(10, 8, 16));
    fc.assert(
      fc.property(notation, ([number, radix]) => {
        const prefix = { 10: "", 8: "0", 16: "0x" }[radix];
        const host = `${prefix}${number.toString(radix)}`;
        expect(isOpen(`http://${host}/`, [host, new URL(`http://${number}/`).hostname])).toBe(false);
      }),
    );
  });

  test("[S7] whatever is fetched is of a listed host, on a usual port, without credentials", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), fc.webAuthority({ withPort: true }), (url, authority) => {
        for (const text of [url, `https://${authority}/`, `https://pages.example.com#@${authority}/`]) {
          const read = readAddress(text, ALLOWED);
          if (read === undefined) continue;
          expect(read.hostname === "pages.example.com" || read.hostname.endsWith(".docs.example.org")).toBe(true);
          expect([read.port, read.username, read.password]).toEqual(["", "", ""]);
        }
      }),
    );
  });
});

test.each(["localhost", "*.local", "10.0.0.1", "*", "https://example.com", "a b.com", "example", "[::1]", "*.com."])(
  "[F36] %j cannot be listed",
  (host) => expect(HostList.safeParse(`example.com,${host}`).success).toBe(false),
);

test("[MCP-11] hosts are listed with commas between, in any letter case", () => {
  expect(HostList.parse(" Example.com, *.docs.example.org ,")).toEqual(["example.com", "*.docs.example.org"]);
});
