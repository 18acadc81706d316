import { defineConfig } from "vitest/config";

/** Logic in `test/unit`; the app in a real browser, against real nodes, in `test/e2e`. A machine that is busy with something else may
 * starve a browser for seconds: what fails there is tried twice more, and says so. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], environment: "node" } },
      { test: { name: "e2e", include: ["test/e2e/**/*.e2e.ts"], environment: "node", testTimeout: 90_000, hookTimeout: 60_000, fileParallelism: false, retry: 2 } },
    ],
  },
});
