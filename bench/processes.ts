/** The processes of a benchmark: the core that each one has to itself, and the CPU time that it took. Linux. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

function children(): number[] {
  const threads = readdirSync("/proc/self/task");
  return threads
    .flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" "))
    .filter((pid) => pid !== "")
    .map(Number);
}

/** The process that `start` has started, and what it gave. */
export async function withPid<T>(start: () => Promise<T>): Promise<[T, number]> {
  const before = new Set(children());
  const started = await start();
  const pid = children().find((one) => !before.has(one) && readFileSync(`/proc/${one}/comm`, "utf8") === "workerd\n");
  if (pid === undefined) throw new Error("no workerd was started");
  pin(pid, 1);
  return [started, pid];
}

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
