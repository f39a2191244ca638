/**
 * Installs the dependencies when they are missing or older than package-lock.json: the first step of `npm run dev`,
 * `npm test` and `npm run check`. Runs on any Node from 20, without dependencies; silent when there is nothing to do.
 * State: a stamp (hash of the lockfile, platform) in node_modules/, and a lock file in .dev/ while an install runs.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 200;
const root = join(import.meta.dirname, "..");
const stampFile = join(root, "node_modules", ".install-stamp");
const lockFile = join(root, ".dev", "install.lock");

if (!isStamped()) process.exitCode = await installAlone();

function isStamped() {
  return readOr(stampFile, "") === wantedStamp();
}

function wantedStamp() {
  const lock = readFileSync(join(root, "package-lock.json"));
  return `${createHash("sha256").update(lock).digest("hex")} ${process.platform}-${process.arch}\n`;
}

/** An `npm ci` by hand leaves no stamp: npm's own list of what it installed tells as much. */
function isInstalledByHand() {
  const installedText = readOr(join(root, "node_modules", ".package-lock.json"), "");
  if (installedText === "" || !existsSync(join(root, "node_modules", ".bin", "node"))) return false;
  const installed = JSON.parse(installedText).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === "") return true; // this package itself
    return installed[path] === undefined ? optional === true : installed[path].version === version;
  });
}

/** One install at a time; whoever waited for another's install looks again before starting its own. */
async function installAlone() {
  while (!takeLock(lockFile)) {
    releaseIfDead();
    await sleep(POLL_MS);
  }
  try {
    if (!isStamped() && !isInstalledByHand()) {
      const code = install();
      if (code !== 0) return code;
    }
    writeFileSync(stampFile, wantedStamp());
    return 0;
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function install() {
  console.log("Installing dependencies (npm ci) ...");
  const startedMs = Date.now();
  // "error" leaves out the warnings of tools that want a newer Node than the one npm runs on: scripts get Node 24.
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    env: { ...process.env, PATH: pathWithoutOwnNode() },
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  const code = npm.status ?? 1;
  if (code !== 0) {
    console.error(`npm ci failed${npm.error ? `: ${npm.error.message}` : ` with code ${code}`}.`);
    console.error("Check that the npm registry can be reached and the disk has 1 GB free, then run: npm ci");
    return code;
  }
  console.log(`Dependencies installed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.`);
  return 0;
}

/** `npm ci` deletes node_modules, so it must not run on the Node that lives in there. */
function pathWithoutOwnNode() {
  const entries = (process.env.PATH ?? "").split(delimiter);
  return entries.filter((entry) => !entry.startsWith(join(root, "node_modules"))).join(delimiter);
}

/** A lock file appears with its owner's process id in it, never empty: it is written elsewhere and linked into place. */
function takeLock(file) {
  mkdirSync(join(root, ".dev"), { recursive: true });
  const own = `${file}.${process.pid}.own`;
  writeFileSync(own, `${process.pid}`);
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(own);
  }
}

/** Only one process at a time may take a dead owner's lock away, and looks first that it is still that one's. */
function releaseIfDead() {
  const owner = readOr(lockFile, undefined);
  if (owner === undefined || isRunning(Number(owner))) return; // undefined: released between two looks
  const takeover = `${lockFile}.${owner}`;
  if (!takeLock(takeover)) return;
  if (readOr(lockFile, undefined) === owner) rmSync(lockFile, { force: true });
  rmSync(takeover);
}

function isRunning(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return otherwise;
  }
}
