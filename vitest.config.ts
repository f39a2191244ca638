/**
 * Tests: beside their file, and in test/ when they cross a wall. Two files at a time: a house of Workers fills a core.
 * Every file is cut off from the network (test/network.ts).
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{contracts,db,workers,dev,test,bench}/**/*.test.ts"],
    globalSetup: ["test/bundles.ts"],
    setupFiles: ["./test/network.ts"],
    reporters: ["default", "./test/summary-reporter.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
