/** Builds the Workers once a run; every house of the run boots from these bundles. */
import type { TestProject } from "vitest/node";
import { type Bundles, buildWorkers } from "../dev/build.ts";

declare module "vitest" {
  interface ProvidedContext {
    bundles: Bundles;
  }
}

export async function setup({ provide }: TestProject): Promise<void> {
  provide("bundles", await buildWorkers());
}
