/**
 * A house for timings: the Workers on workerd alone (bench/workerd.ts), with the stand-ins around them. State: its processes, until `close()`.
 * Cloudflare's router of static assets is not in it, nor are the assets.
 */
import { type Bundles, CONFIGS } from "../dev/build.ts";
import { callMain, type House, type HouseOptions, openSurroundings } from "../dev/house.ts";
import { workerOptions } from "../dev/house/runtime.ts";
import { openWorkerd } from "./workerd.ts";

export interface TimedHouse extends Pick<House, "llm" | "redis" | "newTenant" | "call" | "close"> {
  pid: number;
}

export async function openTimedHouse(bundles: Bundles, llm: HouseOptions["llm"] = {}): Promise<TimedHouse> {
  const surroundings = await openSurroundings({ llm });
  const { bindings, redis, newTenant } = surroundings;
  const workers = CONFIGS.map((config) => ({ ...workerOptions(config), script: bundles[config] ?? "", bindings }));
  const { url, pid, close } = await openWorkerd(workers);
  return {
    ...{ llm: surroundings.llm, redis, newTenant, pid },
    call: (path, options) => callMain(new URL(path, url), options),
    async close() {
      await close();
      await surroundings.close();
    },
  };
}
