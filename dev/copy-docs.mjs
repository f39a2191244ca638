/**
 * Puts the files of Swagger UI that /docs needs beside its page in public/docs. wrangler runs it before it bundles main, so that
 * every build has them. State: those copies, git-ignored. Runs on any Node from 20; a copy that is there already stays as it is.
 */
import { copyFileSync, existsSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FILES = ["swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css"];
const folder = dirname(fileURLToPath(import.meta.resolve("swagger-ui-dist/package.json")));

for (const file of FILES) {
  const source = join(folder, file);
  const target = join(import.meta.dirname, "..", "public", "docs", file);
  if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) continue;
  // In one step: another build may read it at the same time.
  const fresh = `${target}.${process.pid}`;
  copyFileSync(source, fresh);
  renameSync(fresh, target);
}
