/**
 * Whether the three wrangler files fit together, in each environment: names, bindings, classes, migrations, compatibility. State: none; it
 * reads the files in a folder. Refuses nothing: what does not fit is a finding.
 */
import { join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { CONFIGS } from "../build.ts";
import { ENVIRONMENTS, WORKERS } from "../deployment.ts";
import { listSettings } from "../settings-table.ts";
import { failure, type Finding, good } from "./finding.ts";
import { checkSettings, type Values } from "./settings.ts";

/** What is read of wrangler's own type, whose parts are not exported. */
interface WorkerFile {
  file: string;
  name: string;
  compatibility_date?: string | undefined;
  compatibility_flags: string[];
  migrations: { new_sqlite_classes?: string[] }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
  services?: { binding: string; service: string; entrypoint?: string | undefined }[] | undefined;
  analytics_engine_datasets?: { binding: string }[] | undefined;
  triggers: { crons?: string[] | undefined };
  secrets?: { required?: string[] } | undefined;
  vars: Record<string, unknown>;
}

export function checkWranglerFiles(root: string): Finding[] {
  try {
    const problems = findProblems(root);
    if (problems.length > 0)
      return problems.map((problem) =>
        failure("wrangler files", problem, "mend that file: docs/deploy.md says what each environment needs"),
      );
    return [
      good("wrangler files", `${CONFIGS.length} files, ${ENVIRONMENTS.length - 1} environments and the top level`),
    ];
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : "unreadable";
    return [
      failure("wrangler files", `cannot be read: ${reason}`, "mend the file, or take it from the repository again"),
    ];
  }
}

/** By environment, in the order of CONFIGS; the first is main's. */
function findProblems(root: string): string[] {
  const top = readAll(root, "");
  return ENVIRONMENTS.flatMap((environment) => {
    const files = readAll(root, environment);
    const where = (file: WorkerFile) => `${file.file}${environment && `, [env.${environment}]`}`;
    const names = files.map(({ name }) => name);
    return files.flatMap((file, at) => {
      const problems = [
        ...findLooseEnds(file, names),
        ...(top[at] ? findGaps(file, top[at], environment) : []),
        ...findBadVars(file),
      ];
      const [first] = files;
      if (file.compatibility_date !== first?.compatibility_date)
        problems.push("compatibility_date differs from wrangler.toml's");
      return problems.map((problem) => `${where(file)}: ${problem}`);
    });
  });
}

/** Bindings that lead nowhere, objects without storage, secrets that stand in the file. */
function findLooseEnds(file: WorkerFile, names: string[]): string[] {
  const made = new Set(file.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []));
  const secret = new Set(
    ["main", "llm-agent", "mcp"].flatMap((worker) =>
      listSettings(worker as "main").flatMap(({ name, isSecret }) => (isSecret ? [name] : [])),
    ),
  );
  return [
    ...(file.services ?? [])
      .filter(({ service }) => !names.includes(service))
      .map(({ binding, service }) => `${binding} is bound to ${service}, which no file of this environment names`),
    ...file.durable_objects.bindings
      .filter(({ class_name }) => !made.has(class_name))
      .map(({ class_name }) => `no migration makes ${class_name}`),
    ...Object.keys(file.vars)
      .filter((name) => secret.has(name))
      .map((name) => `${name} is a secret and stands under vars`),
  ];
}

/** What the top level has and an environment was not given, or otherwise: bindings and vars are not inherited. */
function findGaps(file: WorkerFile, top: WorkerFile, environment: string): string[] {
  const has = partsOf(file);
  const gaps = [...partsOf(top)].flatMap(([part, leadsTo]) => {
    if (!has.has(part)) return [`${part} is missing`];
    return has.get(part) === leadsTo ? [] : [`${part} does not lead to ${leadsTo || "the default entrypoint"}`];
  });
  if (environment !== "" && file.name === top.name) gaps.push("has the top level's name and would replace it");
  if (environment === "" && file.secrets !== undefined)
    gaps.push("`secrets` at the top level keeps other settings of .dev.vars from a local run");
  if (environment !== "") gaps.push(...findBadSecrets(file));
  return gaps;
}

/** By what each is called, where it leads; what only is or is not there leads nowhere. */
function partsOf(of: WorkerFile): Map<string, string> {
  const there = (parts: string[]): [string, string][] => parts.map((part) => [part, ""]);
  return new Map([
    ...of.durable_objects.bindings.map((one): [string, string] => [`the binding ${one.name}`, one.class_name]),
    ...(of.services ?? []).map((one): [string, string] => [`the binding ${one.binding}`, one.entrypoint ?? ""]),
    ...there((of.analytics_engine_datasets ?? []).map(({ binding }) => `the binding ${binding}`)),
    ...there(of.compatibility_flags.map((flag) => `the flag ${flag}`)),
    ...there((of.triggers.crons ?? []).map((cron) => `the schedule "${cron}"`)),
    ...there(Object.keys(of.vars).map((name) => `${name} under vars`)),
  ]);
}

/** Wrangler refuses to deploy without a secret that is named as required, whether anybody reads it or not. */
function findBadSecrets({ file, secrets, vars }: WorkerFile): string[] {
  const worker = WORKERS.find(({ config }) => config === file)?.name ?? "main";
  const own = listSettings(worker).filter(({ isSecret }) => isSecret);
  const required = secrets?.required;
  if (required === undefined) return ["secrets.required is missing"];
  return [
    ...own
      .filter(({ name, isRequired }) => isRequired && !(name in vars) && !required.includes(name))
      .map(({ name }) => `${name} is missing in secrets.required`),
    ...required
      .filter((name) => own.every((secret) => secret.name !== name))
      .map((name) => `${name} in secrets.required is no secret that ${worker} reads`),
  ];
}

/** Malformed vars, and names that nobody reads. */
function findBadVars({ file, vars }: WorkerFile): string[] {
  const worker = WORKERS.find(({ config }) => config === file)?.name;
  return checkSettings(toValues(vars), false)
    .filter(({ check, state }) => state !== "ok" && (check === worker || check === "names"))
    .map(({ detail }) => `vars: ${detail}`);
}

function toValues(vars: Record<string, unknown>): Values {
  const text = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  return Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, text(value)]));
}

/** What an environment's files set without a secret; files that cannot be read are told elsewhere. */
export function readVars(root: string, environment: string | undefined): Values {
  if (environment === undefined) return {};
  try {
    return Object.assign({}, ...readAll(root, environment).map(({ vars }) => toValues(vars))) as Values; // of such
  } catch {
    return {};
  }
}

function readAll(root: string, env: string): WorkerFile[] {
  return CONFIGS.map((file) => {
    const config = unstable_readConfig({ config: join(root, file), env }, { hideWarnings: true });
    return { ...config, file, name: config.name ?? "" };
  });
}
