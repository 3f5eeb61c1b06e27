// node shoot.mjs BUILT CHROMIUM FILE: draws each dashboard of the list in the file, and writes a picture of it.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createRequire } from 'node:module';

const [built, chromium, file] = process.argv.slice(2);
const playwright = createRequire(path.join(built, 'package.json'))('playwright-core');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };
const FOLDERS = { '/public/build/': 'node_modules/@grafana/ui/dist/public', '/public/': 'node_modules/@grafana/ui/dist/public', '/': 'dist' };
const OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

let input = {};
const server = http.createServer((request, response) => {
  const asked = new URL(request.url, 'http://localhost').pathname;
  const prefix = Object.keys(FOLDERS).find((one) => asked.startsWith(one));
  const found = path.join(built, FOLDERS[prefix], asked === '/' ? 'index.html' : asked.slice(prefix.length));
  const body = asked === '/input.json' ? JSON.stringify(input) : fs.existsSync(found) && fs.readFileSync(found);
  response.writeHead(body ? 200 : 404, { 'content-type': TYPES[path.extname(asked) || '.html'] ?? 'application/octet-stream' });
  response.end(body || '');
});
server.listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));

const browser = await playwright.chromium.launch({ executablePath: chromium, args: OPTIONS });
const failures = [];
try {
  for (input of JSON.parse(fs.readFileSync(file, 'utf8'))) {
    const page = await browser.newPage({ viewport: { width: input.width, height: 2400 } });
    page.on('pageerror', (error) => failures.push(`${input.dashboard.title}: ${error.message}`));
    page.on('console', (line) => line.type() === 'error' && !line.text().includes('404') && failures.push(`${input.dashboard.title}: ${line.text()}`));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const count = input.dashboard.panels.filter((panel) => panel.type !== 'row').length;
    await page.waitForFunction((count) => document.querySelectorAll('[data-viz-panel-key]').length === count, count, { timeout: 30000 });
    await page.evaluate(() => document.fonts.ready);
    await page.waitForLoadState('networkidle');
    const scrolled = await page.evaluate(() =>
      [...document.querySelectorAll('[data-viz-panel-key] [role=grid]')].filter((grid) => grid.scrollWidth > grid.clientWidth + 1)
        .map((grid) => grid.closest('[data-viz-panel-key]').dataset.vizPanelKey));
    process.stdout.write(`${JSON.stringify({ file: input.file, scrolled })}\n`);
    await page.locator('#root').screenshot({ path: input.file });
    await page.close();
  }
} catch (error) {
  failures.push(error.message);
} finally {
  await browser.close();
  server.close();
}
if (failures.length) {
  process.stderr.write(`${[...new Set(failures)].join('\n')}\n`);
  process.exitCode = 1;
}
