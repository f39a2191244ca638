/**
 * `npm run docs:configuration`: writes docs/configuration.md from the Workers' schemas; `-- --check` fails when the file is not what they
 * say. State: that file.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { listSettings, type SettingFacts, type WorkerName, WORKER_NAMES } from "./settings-table.ts";

const FILE = join(import.meta.dirname, "../docs/configuration.md");

const HEAD = `# Settings

Written by \`npm run docs:configuration\` from the schemas in \`workers/*/env.ts\`; a test fails when it is not what they say.

A feature whose setting is missing or malformed stays closed, the others work. Where there is a default, an empty value means the default,
and so does a malformed one in \`main\` and \`llm-agent\`, but where the table says otherwise; \`mcp\` answers nothing until its settings are
well-formed. Each Worker names what is missing or malformed in a log line at its start, \`GET /health\` names it for \`main\`, and
\`npm run doctor\` for all three, with what to do. A value is never told.

A setting is put into \`.dev.vars\` for \`npm run dev\` ([example](../.dev.vars.example)). For a deployment a secret is put with
\`wrangler secret put\`, or with the first deployment's \`--secrets-file\`; any other may also stand under \`[env.NAME.vars]\` of the Worker's wrangler file
([deploy.md](deploy.md)). \`required\`: a deployment without it is not whole.
`;

const INTRODUCTIONS: Record<WorkerName, string> = {
  main: "The public API and the objects of sessions and accounts (`workers/main/env.ts`).",
  "llm-agent": "Models and providers (`workers/llm-agent/env.ts`).",
  mcp: "Tools and the knowledge base (`workers/mcp/env.ts`).",
};

const TAIL = `
The forms of \`MODELS\` and \`TOOL_POLICY\` are in [README.md](../README.md#settings). \`REDIS_URL\` is read by \`npm run dev\` alone.
`;

export function writeConfigurationPage(): string {
  const parts = WORKER_NAMES.map(
    (worker) => `\n## ${worker}\n\n${INTRODUCTIONS[worker]}\n\n${writeTable(listSettings(worker))}`,
  );
  return [HEAD, ...parts, TAIL].join("");
}

function writeTable(settings: SettingFacts[]): string {
  const rows = settings.map(({ name, isSecret, isRequired, meaning, ...facts }) => {
    const kind = [isRequired && "required", isSecret && "secret"].filter(Boolean).join(", ");
    return `| \`${name}\` | ${facts.default} | ${kind} | ${meaning.replaceAll("|", "\\|")} |\n`;
  });
  return `| name | default | kind | meaning |\n|---|---|---|---|\n${rows.join("")}`;
}

if (import.meta.main) {
  const page = writeConfigurationPage();
  if (!process.argv.includes("--check")) await writeFile(FILE, page);
  else if ((await readFile(FILE, "utf8")) !== page) {
    console.error("docs/configuration.md is not current: run npm run docs:configuration");
    process.exitCode = 1;
  }
}
