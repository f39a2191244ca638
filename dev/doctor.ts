/**
 * `npm run doctor`: every check of this machine, the settings and the services, with what to do about each; exit code 1 if one failed.
 * `-- --file FILE` judges a deployment's settings, `--offline` reaches no service, `--json` is for programs. No state: it changes nothing.
 * Never tells a value, never makes a paid call.
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { ROOT } from "./build.ts";
import { ENVIRONMENTS } from "./deployment.ts";
import { checkAddresses } from "./doctor/addresses.ts";
import { failure, type Finding, good, show, summarize } from "./doctor/finding.ts";
import { checkInstall, checkNode, checkPort, checkSecretFile } from "./doctor/machine.ts";
import { checkProviders, checkPostgres, checkRedis } from "./doctor/services.ts";
import { checkMcp, checkSecrets, checkSettings, type Values } from "./doctor/settings.ts";
import { checkWranglerFiles, readVars } from "./doctor/wrangler-files.ts";
import { DEV_VARS_MARK } from "./settings.ts";

export interface Subject {
  root: string;
  /** Of a deployment's settings; left out: those of a local run. */
  file?: string | undefined;
  nodeVersion: string;
  port: number;
  isOffline: boolean;
}

export async function examine({ root, file, nodeVersion, port, isOffline }: Subject): Promise<Finding[]> {
  const isDeployment = file !== undefined;
  const name = file ?? ".dev.vars";
  const text = await readFile(resolve(root, name), "utf8").catch(() => undefined);
  if (text === undefined && isDeployment) {
    return [failure("settings", `${name} cannot be read`, "npm run setup writes such a file")];
  }
  const values = { ...readVars(root, environmentOf(name)), ...readValues(text ?? "") };
  const machine = [checkNode(nodeVersion), await checkInstall(root)];
  if (!isDeployment) machine.push(await checkPort(root, port));
  const found = [
    ...machine,
    ...(await checkSecretFile(root, name)),
    ...checkWranglerFiles(root),
    ...(text === undefined ? [good("settings", "no .dev.vars: npm run dev uses stand-ins for everything")] : []),
    ...checkSettings(values, isDeployment),
    ...checkSecrets(values, isDeployment),
    ...checkMcp(values, isDeployment),
    ...(isDeployment ? checkAddresses(values) : []),
  ];
  if (isOffline) return found;
  const services = await Promise.all([
    checkPostgres(values, isDeployment),
    checkRedis(values),
    checkProviders(values, isDeployment),
  ]);
  return [...found, ...services.flat()];
}

/** Of a file as `npm run setup` names it; the others' vars are not known. */
function environmentOf(file: string): string | undefined {
  return ENVIRONMENTS.find((environment) => environment !== "" && basename(file) === `${environment}.vars`);
}

/** What somebody set; what the last local run added stands for stand-ins that are gone. */
function readValues(text: string): Values {
  const [own = ""] = text.split(DEV_VARS_MARK);
  return Object.fromEntries(Object.entries(parseEnv(own)).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { file: { type: "string" }, json: { type: "boolean" }, offline: { type: "boolean", default: false } },
  });
  const subject = {
    root: ROOT,
    file: values.file,
    nodeVersion: process.versions.node,
    port: 8787,
    isOffline: values.offline,
  };
  const findings = await examine(subject);
  if (values.json) console.log(JSON.stringify(findings, null, 2));
  else console.log([...findings.map(show), "", summarize(findings)].join("\n"));
  return findings.some(({ state }) => state === "fail") ? 1 : 0;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 2;
  });
}
