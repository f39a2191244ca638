/** The Workers that BaseChat is measured beside, each on its own workerd. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openWorkerd, type PlainRuntime } from "./workerd.ts";

/** `objects`: the classes of the file that are Durable Objects, by binding. */
export async function openComparator(
  file: string,
  bindings: Record<string, string>,
  objects: Record<string, string> = {},
): Promise<PlainRuntime> {
  const script = await readFile(join(import.meta.dirname, "comparators", file), "utf8");
  const classes = Object.entries(objects).map(([binding, className]) => [binding, { className }] as const);
  return openWorkerd([
    {
      name: "comparator",
      script,
      compatibilityDate: "2026-10-01",
      bindings,
      durableObjects: Object.fromEntries(classes),
    },
  ]);
}
