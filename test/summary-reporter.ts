/**
 * The last line of a test run, for machines: `N passed, N failed`, and `, N skipped` if there are any.
 * A file or a suite that could not run counts as failed, so "0 failed" is never said of a red run.
 */
import { writeSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: string): void {
    const line = summarize(modules, unhandled.length, reason);
    // On exit: other reporters still print after the run has ended. Written at once: a pipe would come too late.
    process.once("exit", () => writeSync(1, `${line}\n`));
  }
}

function summarize(modules: readonly TestModule[], unhandled: number, reason: string): string {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const count = (state: string) => tests.filter((test) => test.result().state === state).length;
  const brokenSuites = modules
    .flatMap((module) => [module, ...module.children.allSuites()])
    .filter((suite) => suite.errors().length > 0).length;
  const failed = count("failed") + brokenSuites + unhandled;
  const failedAtLeast = reason === "passed" && modules.length > 0 ? 0 : 1;
  const skipped = count("skipped") + count("pending"); // pending: the run was stopped before it
  const parts = [`${count("passed")} passed`, `${Math.max(failed, failedAtLeast)} failed`];
  return [...parts, ...(skipped > 0 ? [`${skipped} skipped`] : [])].join(", ");
}
