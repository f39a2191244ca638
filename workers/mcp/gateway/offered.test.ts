import { expect, test } from "vitest";
import { toOfferedList } from "./offered.ts";
import type { OfferedList } from "./server.ts";

const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more });
const offer = (said: unknown[]) => toOfferedList(said, { server: "s", allowed: [], trusted: false });
const namesOf = ({ tools }: OfferedList) => tools.map(({ name }) => name);

test("[MCP-21] a name that comes twice is taken once, and named as refused", async () => {
  const list = await offer([tool("same", { description: "two" }), tool("other"), tool("same", { description: "one" })]);
  expect(namesOf(list)).toEqual(["s__other", "s__same"]);
  expect(list.refused).toEqual(["same"]);
});

test("[MCP-22] the same tools in another order are no change, and other ones are", async () => {
  const [one, other] = [await offer([tool("a"), tool("b")]), await offer([tool("b"), tool("a")])];
  expect(other).toEqual(one);
  expect((await offer([tool("a"), tool("b", { description: "else" })])).hash).not.toBe(one.hash);
  const [twice, again] = [tool("a", { description: "one" }), tool("a", { description: "two" })];
  expect(await offer([twice, again])).toEqual(await offer([again, twice]));
});

test("[S23] a schema whose descriptions are longer than a tool's may be is not taken, at any depth", async () => {
  const nested = (description: string) => ({
    type: "object",
    properties: { a: { type: "array", items: { type: "string", description } } },
  });
  const fits = await offer([tool("a", { inputSchema: nested("x".repeat(1_024)) })]);
  expect(namesOf(fits)).toEqual(["s__a"]);
  const long = await offer([tool("a", { inputSchema: nested("x".repeat(1_025)) })]);
  expect(long).toMatchObject({ tools: [], refused: ["a"] });
});
