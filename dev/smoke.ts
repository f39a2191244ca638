/**
 * `[BASECHAT_KEY=KEY] npm run smoke -- https://… [--key KEY] [--model MODEL]`: a chat, a stream, a resume, a retry, history, a purge and an erasure against a
 * deployment, with times; exit code 1 if a step fails. State: none; what it makes there it erases again. It makes five model calls.
 * Refuses to go on after a step that failed, but for the erasure.
 */
import { randomBytes } from "node:crypto";
import { parseArgs, styleText } from "node:util";
import { ApiClient } from "./smoke/client.ts";
import { cleanUp, STEPS, type Step, type Story } from "./smoke/steps.ts";

const USAGE =
  "Usage: npm run smoke -- https://host [--key API_KEY] [--model NAME]; without a key, there or in BASECHAT_KEY, it signs a user up.";

export interface SmokeTest {
  url: URL;
  key?: string | undefined;
  model?: string | undefined;
  print(line: string): void;
}

/** True: every step passed, the erasure too. */
export async function smoke({ url, key, model, print }: SmokeTest): Promise<boolean> {
  const story: Story = {
    client: new ApiClient(url, key),
    model,
    nonce: randomBytes(6).toString("hex"),
    isOwnUser: false,
  };
  let passed = true;
  for (const step of STEPS) {
    passed = await run(step, story, print);
    if (!passed) break;
  }
  // Nothing to erase before anybody was let in.
  if (story.userId === undefined) return passed;
  return (await run(["clean up", cleanUp], story, print)) && passed;
}

async function run([name, work]: Step, story: Story, print: SmokeTest["print"]): Promise<boolean> {
  const startedMs = performance.now();
  const tell = (sign: string, detail: string) =>
    print(`${sign} ${name.padEnd(14)} ${(performance.now() - startedMs).toFixed(0).padStart(6)} ms  ${detail}`);
  try {
    tell(styleText("green", "✓"), await work(story));
    return true;
  } catch (error) {
    tell(styleText("red", "✗"), explain(error));
    return false;
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}

async function main(args: string[]): Promise<number> {
  const options = { key: { type: "string" }, model: { type: "string" } } as const;
  const { positionals, values } = parseArgs({ args, options, allowPositionals: true });
  const [address = ""] = positionals;
  if (positionals.length !== 1 || !URL.canParse(address)) {
    console.error(USAGE);
    return 2;
  }
  // In the environment it is not among the words that npm prints.
  const key = values.key ?? (process.env["BASECHAT_KEY"] || undefined);
  const startedMs = performance.now();
  const passed = await smoke({ url: new URL(address), ...values, key, print: console.log });
  console.log(`${passed ? "Passed" : "Failed"} in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s.`);
  return passed ? 0 : 1;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return 2;
  });
}
