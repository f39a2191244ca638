/** The processes of a benchmark: the core that each one has to itself, and the CPU time that it took. Linux. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** To one core, with all its threads. */
export function pin(pid: number, core: number): void {
  try {
    execFileSync("taskset", ["-a", "-p", "-c", String(core), String(pid)], { stdio: "ignore" });
  } catch {
    console.log(`process ${pid} could not be pinned: figures vary more`);
  }
}

/** CPU time of a process so far, in milliseconds: fields 14 and 15 of its stat, in hundredths of a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
