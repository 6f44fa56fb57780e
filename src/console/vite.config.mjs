import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const root = dirname(fileURLToPath(import.meta.url))

// Two pages: the console, and the explorer (GraphiQL), each with what it needs and nothing from elsewhere.
export default defineConfig({
  root,
  base: '/',
  publicDir: join(root, 'public'),
  oxc: { jsx: { runtime: 'automatic' } },
  build: {
    outDir: join(root, '../../dist/console'),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4_000,
    rolldownOptions: { input: { index: join(root, 'index.html'), explorer: join(root, 'explorer.html') } },
  },
})
