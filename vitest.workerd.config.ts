/**
 * Tests that run inside workerd, beside a real Durable Object. A project of vitest.config.ts.
 * They reach nothing: every request that leaves the Worker is refused.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [
    cloudflareTest({
      main: "./test/saver/worker.ts",
      miniflare: {
        compatibilityDate: "2026-10-01",
        compatibilityFlags: ["nodejs_compat"],
        durableObjects: { SAVERS: { className: "SaverObject", useSQLite: true } },
        outboundService: (request) => {
          throw new Error(`tests must not leave this machine: refused to connect to ${new URL(request.url).hostname}`);
        },
      },
    }),
  ],
  test: {
    name: "workerd",
    include: ["test/saver/*.test.ts"],
    // LangGraph's validation suite calls describe, it and expect as globals.
    globals: true,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
