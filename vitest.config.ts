/**
 * Tests: beside their file, and in test/ when they cross a wall. Two files at a time: a house of Workers fills a core.
 * Every file is cut off from the network (test/network.ts). What runs inside workerd is a project of its own.
 */
import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    reporters: ["default", "./test/summary-reporter.ts"],
    maxWorkers: 2,
    projects: [
      "./vitest.workerd.config.ts",
      {
        test: {
          name: "node",
          include: ["{contracts,db,workers,dev,test,bench}/**/*.test.ts"],
          exclude: [...configDefaults.exclude, "test/saver/**"],
          globalSetup: ["test/bundles.ts"],
          setupFiles: ["./test/network.ts"],
          pool: "forks",
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
