import path from 'node:path';
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  publicDir: false,
  resolve: {
    alias: { 'react-router-dom-v5-compat': 'react-router-dom', frames: path.resolve('src/frames.mjs') },
    dedupe: ['react', 'react-dom', 'rxjs'],
  },
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { outDir: 'dist', chunkSizeWarningLimit: 20000, rollupOptions: { shimMissingExports: true } },
});
