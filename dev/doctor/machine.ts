/**
 * What the machine must have: Node, the installed packages, settings that git does not see, a free port. No state; it changes nothing.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve as toAbsolute } from "node:path";
import { failure, type Finding, good, warning } from "./finding.ts";

const NODE_MAJOR = 24;

export function checkNode(version: string): Finding {
  const major = Number(version.split(".")[0]);
  if (major >= NODE_MAJOR) return good("node", version);
  return failure(
    "node",
    `${version}; the scripts need ${NODE_MAJOR}`,
    "start them by npm run, which takes node_modules/.bin/node",
  );
}

/** As dev/install.mjs stamps it. */
export async function checkInstall(root: string): Promise<Finding> {
  const lock = await readFile(join(root, "package-lock.json")).catch(() => undefined);
  if (lock === undefined) return failure("install", "package-lock.json is missing", "git checkout package-lock.json");
  const wanted = createHash("sha256").update(lock).digest("hex");
  const stamp = await readFile(join(root, "node_modules/.install-stamp"), "utf8").catch(() => "");
  if (stamp.startsWith(wanted)) return good("install", "as package-lock.json says");
  return failure("install", "node_modules is not what package-lock.json says", "npm ci");
}

/** Of a file with secrets: git must not take it, and nobody else may read it. */
export async function checkSecretFile(root: string, file: string): Promise<Finding[]> {
  const mode = await stat(toAbsolute(root, file)).then(
    (found) => found.mode,
    () => undefined,
  );
  const isTracked = (await git(root, ["ls-files", "--error-unmatch", file])) === 0;
  if (isTracked)
    return [
      failure("git", `${file} is in the repository`, `git rm --cached ${file}, then replace every secret that it held`),
    ];
  const ignored = await git(root, ["check-ignore", "-q", file]);
  if (ignored === 1) return [failure("git", `${file} is not ignored by git`, `add the line ${file} to .gitignore`)];
  const state =
    ignored === 0
      ? good("git", `${file} is ignored`)
      : warning("git", "this folder is no git repository", `keep ${file} out of whatever takes its place`);
  if (mode === undefined || (mode & 0o077) === 0 || process.platform === "win32") return [state];
  return [state, warning("file mode", `${file} can be read by other users of this machine`, `chmod 600 ${file}`)];
}

/** 0: yes; 1: no; more, or git is missing: it cannot be told. */
function git(root: string, args: string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = execFile("git", args, { cwd: root }, () => resolve(child.exitCode ?? 128));
  });
}

export async function checkPort(root: string, port: number): Promise<Finding> {
  if (await isFree(port)) return good("port", `${port} is free`);
  const lock = await readFile(join(root, ".dev/lock.json"), "utf8").catch(() => "");
  if (lock !== "") return good("port", `${port} is taken, by npm run dev as it seems (.dev/lock.json)`);
  return warning("port", `${port} is taken`, "end what listens there, or go on: npm run dev takes the next free port");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
