/**
 * `npm run setup [-- --env staging|production]`: asks for what a deployment needs, makes its keys, writes `.dev/<environment>.vars` and says what
 * to do next. `--check` judges that file; without a terminal the steps are printed. State: that file, the owner's alone.
 * Refuses to write where git would see it. A secret is not echoed, and nothing of it is printed.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { ROOT } from "./build.ts";
import { isEnvironment } from "./deployment.ts";
import { examine } from "./doctor.ts";
import { show, summarize } from "./doctor/finding.ts";
import { checkSecretFile } from "./doctor/machine.ts";
import { askOnTerminal, type Ask } from "./setup/ask.ts";
import { nextSteps, QUESTIONS } from "./setup/questions.ts";
import { readersOf, SCHEMAS } from "./settings-table.ts";

export interface SetUp {
  root: string;
  environment: string;
  ask: Ask;
  print(line: string): void;
  newSecret(): string;
}

type Values = Record<string, string>;

export const fileOf = (environment: string): string => `.dev/${environment}.vars`;

const MADE = {
  SECRET_KEY: "Keep the file: with another key every API key ends.",
  METRICS_TOKEN: "Prometheus reads GET /metrics with it.",
};

/** False: nothing was written. */
export async function setUp({ root, environment, ask, print, newSecret }: SetUp): Promise<boolean> {
  const file = fileOf(environment);
  const seen = (await checkSecretFile(root, file)).find(({ state, check }) => check === "git" && state === "fail");
  if (seen !== undefined) {
    print(`${seen.detail}: nothing was written. ${seen.fix ?? ""}`);
    return false;
  }
  const values = await readValues(join(root, file));
  for (const [name, note] of Object.entries(MADE)) {
    if (values[name] !== undefined) continue;
    values[name] = newSecret();
    print(`${name}: made. ${note}`);
  }
  for (const { title, how, names } of QUESTIONS) {
    print(`\n${title}\n${how}`);
    for (const name of names) await askFor(name, values, { ask, print });
  }
  await mkdir(join(root, ".dev"), { recursive: true });
  const lines = Object.entries(values).map(
    ([name, value]) => `${name}=${value.includes('"') ? `'${value}'` : `"${value}"`}\n`,
  );
  await writeFile(join(root, file), lines.join(""), { mode: 0o600 });
  print(`\nWritten: ${file}, which git ignores. Next:\n${nextSteps(environment, values["SIGN_UP"])}`);
  return true;
}

/** Until the answer is well-formed; an empty one keeps what is there, or leaves the setting out. */
async function askFor(name: string, values: Values, { ask, print }: Pick<SetUp, "ask" | "print">): Promise<void> {
  const schemas = readersOf(name).map((worker) => SCHEMAS[worker].shape[name]);
  const isSecret = schemas.some((schema) => schema?.meta()?.["secret"] === true);
  for (;;) {
    const answer = (await ask({ name, isSecret, hasValue: values[name] !== undefined })).trim();
    if (answer === "") return;
    if (schemas.every((schema) => schema?.safeParse(answer).success)) {
      values[name] = answer;
      return;
    }
    print(`${name} is malformed: ${schemas[0]?.meta()?.description ?? ""}`);
  }
}

async function readValues(file: string): Promise<Values> {
  const text = await readFile(file, "utf8").catch(() => "");
  return Object.fromEntries(Object.entries(parseEnv(text)).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

async function judge(environment: string): Promise<boolean> {
  const subject = {
    root: ROOT,
    file: fileOf(environment),
    nodeVersion: process.versions.node,
    port: 0,
    isOffline: false,
  };
  const findings = await examine(subject);
  console.log([...findings.map(show), "", summarize(findings)].join("\n"));
  return findings.every(({ state }) => state !== "fail");
}

async function main(args: string[]): Promise<boolean> {
  const options = {
    env: { type: "string", default: "production" },
    check: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  const { env: environment } = values;
  if (environment === "" || !isEnvironment(environment)) {
    console.error(`No environment "${environment}": staging or production.`);
    return false;
  }
  if (values.check) return judge(environment);
  if (!process.stdin.isTTY) {
    const steps = QUESTIONS.map(({ title, how, names }) => `${title}\n${how}\n   ${names.join(", ")}`);
    console.log(
      `Write these settings into ${fileOf(environment)}, one NAME=value a line, and a SECRET_KEY and a METRICS_TOKEN of 32 random characters or more each.\n`,
    );
    console.log(
      `${steps.join("\n\n")}\n\nThen:\n${nextSteps(environment, undefined)}\n   (where SIGN_UP is closed, with a key in BASECHAT_KEY)`,
    );
    return true;
  }
  const newSecret = () => randomBytes(32).toString("base64url");
  return setUp({ root: ROOT, environment, ask: askOnTerminal, print: console.log, newSecret });
}

if (import.meta.main) {
  const isDone = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return false;
  });
  process.exitCode = isDone ? 0 : 1;
}
