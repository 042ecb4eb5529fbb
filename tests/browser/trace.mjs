// A trace in Perfetto's own viewer, with its own importer. HANJA: the executable; VIEWER: the viewer's files; SHOTS: a
// folder for a screenshot.
import { execFile, spawn } from 'node:child_process';
import { createServer, get } from 'node:http';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const hanja = process.env.HANJA ?? 'hanja';
const viewer = process.env.VIEWER;
const dir = mkdtempSync(join(tmpdir(), 'hanja-trace-'));
const runtime = ['--runtime-dir', join(dir, 'run')];
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

// A trace of a pipeline that somebody watches, so that pictures go out.
function record() {
  const file = join(dir, 't.json');
  const child = spawn(hanja, ['run', '--source', 'synth:?size=320x240&fps=15', '--size', '160', '--http', '127.0.0.1:0', ...runtime]);
  let log = '';
  const address = new Promise((resolve, reject) => {
    const read = (chunk) => {
      log += chunk;
      const found = /view at (http:\/\/\S+)/.exec(log);
      if (found) resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', () => reject(new Error(log)));
  });
  return address.then(async (url) => {
    const run = promisify(execFile); // not the synchronous one: somebody has to read the pictures
    get(new URL('/stream.mjpg', url), (answer) => answer.on('error', () => {}).resume()).on('error', () => {});
    await run(hanja, ['status', '--wait', '60s', ...runtime]);
    await run(hanja, ['trace', '--duration', '3s', '--out', file, ...runtime]);
    child.removeAllListeners('exit');
    child.kill('SIGTERM');
    return file;
  });
}

async function serve() {
  const types = { '': 'text/html', '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.json': 'application/json' };
  const server = createServer(async (request, answer) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    try {
      const body = await readFile(join(viewer, path === '/' ? 'index.html' : path));
      answer.writeHead(200, { 'content-type': types[path === '/' ? '' : extname(path)] ?? 'application/octet-stream' });
      answer.end(body);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return server;
}

const file = await record();
const events = JSON.parse(readFileSync(file)).traceEvents;
const written = (ph) => events.filter((e) => e.ph === ph).length;
const server = await serve();
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
try {
  const page = await browser.newPage({ viewport: { width: 1500, height: 1000 } });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForSelector('input.trace_file', { state: 'attached', timeout: 60_000 });
  await page.setInputFiles('input.trace_file', file);
  await page.waitForFunction(() => window.app?.trace?.engine, null, { timeout: 120_000 });
  // Rows of a query, as lists.
  const ask = (sql) => page.evaluate(async (query) => {
    const result = await window.app.trace.engine.query(query);
    const rows = [];
    for (const row = result.iter({}); row.valid(); row.next()) {
      rows.push(result.columns().map((name) => (typeof row.get(name) === 'bigint' ? Number(row.get(name)) : row.get(name))));
    }
    return rows;
  }, sql);
  assert.deepEqual(await ask("select name, value from stats where severity = 'error' and value > 0"), [], 'the importer complains');
  const processes = await ask('select pid, name from process where pid > 0 order by pid');
  assert.deepEqual(processes.map(([pid, name]) => [pid, name.split(' ')[0]]), [[1, 'capture'], [2, 'infer'], [3, 'render']]);
  assert.deepEqual(await ask('select count(*) from slice'), [[written('X')]]);
  assert.deepEqual(await ask('select max(depth) from slice'), [[1]], 'steps lie in frames');
  assert.deepEqual(await ask('select count(*) from flow'), [[written('t') + written('f')]], 'every arrow is bound');
  assert.deepEqual(await ask('select count(*) from flow f join slice a on a.id = f.slice_out join slice b on b.id = f.slice_in where b.ts < a.ts'), [[0]]);
  const inference = await ask("select count(*), min(dur) from slice where name = 'inference'");
  assert.ok(inference[0][0] > 5 && inference[0][1] > 0, `${inference}`);
  const presented = await ask("select count(*) from slice where name = 'present'");
  assert.ok(presented[0][0] > 5, 'pictures went out');
  const counters = (await ask('select distinct name from process_counter_track order by name')).flat();
  for (const name of ['cpu percent', 'drops busy', 'drops missed', 'fps fps', 'memory MiB']) assert.ok(counters.includes(name), `${name} in ${counters}`);
  if (process.env.SHOTS) {
    mkdirSync(process.env.SHOTS, { recursive: true });
    await page.waitForTimeout(2000);
    await page.keyboard.press('Escape');
    await page.screenshot({ path: join(process.env.SHOTS, 'trace.png') });
  }
  console.log(`${written('X')} slices, ${written('s')} frames followed: Perfetto agrees`);
} finally {
  await browser.close();
  server.close();
  rmSync(dir, { recursive: true, force: true });
}
