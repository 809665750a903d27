import { defineConfig } from "@playwright/test";

const executablePath = process.env.TIDEWIRE_CHROMIUM;

// Against services that run: `python3 scripts/manage.py start --frontend`.
export default defineConfig({
  testDir: "e2e",
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: "line",
  use: {
    baseURL: process.env.TIDEWIRE_PAGE ?? "http://localhost:5173",
    ...(executablePath !== undefined && { launchOptions: { executablePath } }),
  },
});
