import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [svelte()],
  resolve: {
    alias: { $lib: here("./src/lib"), "tidewire-client": here("./packages/tidewire-client/src/index.ts") },
  },
  // The edge lets this origin in, in development mode.
  server: { host: "localhost", port: 5173, strictPort: true },
  // Where the edge serves it from.
  build: { outDir: here("../ws_edge/static/app"), emptyOutDir: true, target: "es2022" },
});
