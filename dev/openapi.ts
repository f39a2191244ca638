/**
 * `npm run openapi [-- file]`: the API's document, to a file or to standard output. `npm run openapi:lint` gives it to Redocly's linter
 * (redocly.yaml) and fails with what that finds. State: a temporary file while it lints. Reaches nothing but this machine.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ApiDocument, describeApi } from "../workers/main/http/openapi.ts";
import { listRoutes } from "./routes.ts";

const ROOT = join(import.meta.dirname, "..");
const OFFLINE = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", NO_COLOR: "1" };

export interface LintReport {
  passed: boolean;
  /** What the linter says. */
  text: string;
}

export async function lintDocument(document: ApiDocument): Promise<LintReport> {
  const folder = await mkdtemp(join(tmpdir(), "basechat-openapi-"));
  const file = join(folder, "openapi.json");
  try {
    await writeFile(file, JSON.stringify(document, null, 2));
    return await runLinter(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function runLinter(file: string): Promise<LintReport> {
  const linter = fileURLToPath(import.meta.resolve("@redocly/cli/bin/cli.js"));
  const args = [linter, "lint", file, "--config", join(ROOT, "redocly.yaml")];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...OFFLINE } }, (error, stdout, stderr) =>
      resolve({ passed: error === null, text: stdout + stderr }),
    );
  });
}

async function main([argument]: string[]): Promise<void> {
  const document = describeApi(listRoutes());
  if (argument !== "--lint") {
    const text = `${JSON.stringify(document, null, 2)}\n`;
    if (argument === undefined) process.stdout.write(text);
    else await writeFile(argument, text);
    return;
  }
  const { passed, text } = await lintDocument(document);
  console.log(text.trim());
  process.exitCode = passed ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(process.argv.slice(2));
