// A pipeline and a browser for tests to play with: started, asked, signalled and ended, each by its own process id.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, mkdirSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export const hanja = process.env.HANJA ?? 'hanja';
const shots = process.env.SHOTS;
/** The machine may be busy: what should take a second gets this long. */
export const PATIENCE = 30_000;

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks until `good(await ask())` holds, and gives that answer. */
export async function until(what, ask, good = Boolean) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask().catch((e) => e);
    if (!(answer instanceof Error) && good(answer)) return answer;
    assert.ok(Date.now() < deadline, `${what}: ${answer instanceof Error ? answer.message : JSON.stringify(answer)?.slice(0, 300)}`);
    await sleep(50);
  }
}

/** `hanja run` in a directory of its own. */
export class Pipeline {
  static async start(source, ...more) {
    const self = new Pipeline();
    self.dir = mkdtempSync(join(tmpdir(), 'hanja-web-'));
    self.runtime = join(self.dir, 'run');
    // A port of our own choice: a render that is restarted must come back to it.
    self.url = `http://127.0.0.1:${await freePort()}/`;
    self.log = '';
    self.pids = new Set();
    const args = ['run', '--source', source, '--http', new URL(self.url).host, '--runtime-dir', self.runtime, ...more];
    self.child = spawn(hanja, args);
    for (const out of [self.child.stdout, self.child.stderr]) out.on('data', (chunk) => { self.log += chunk; });
    self.ended = new Promise((resolve) => self.child.on('exit', resolve));
    await until('the page is served', () => {
      assert.equal(self.child.exitCode, null, `hanja ended: ${self.log}`);
      return fetch(self.url);
    }, (answer) => answer.ok);
    return self;
  }

  json = async (path) => (await fetch(new URL(path, this.url))).json();

  async pid(stage) {
    const stats = await until(`${stage} reports`, () => this.json('/stats.json'), (s) => s[stage]?.age_s < 3);
    this.pids.add(stats[stage].pid);
    return stats[stage].pid;
  }

  async end(signal = 'SIGTERM') {
    for (const pid of this.pids) send(pid, 'SIGCONT');
    this.child.kill(signal);
    const hard = setTimeout(() => {
      this.child.kill('SIGKILL');
      for (const pid of this.pids) send(pid, 'SIGKILL');
    }, 8000);
    await this.ended;
    clearTimeout(hard);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A signal to a process that may be gone. */
export function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (e) {
    if (e.code !== 'ESRCH') throw e;
  }
}

export function browser() {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** What the browser itself says of a server that is gone; everything else in the console is a fault of the page. */
const EXPECTED = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_TIMED_OUT/;

/** A page of its own with everything it complained about. `live`: wait until it shows boxes. */
export async function open(browser, url, { live = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US', ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (m) => complaints.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => complaints.push(`error: ${e.message}`));
  await page.goto(url);
  if (live) await page.waitForFunction(() => window.__hanja?.record?.detections?.length >= 1, null, { timeout: PATIENCE });
  const silent = () => assert.deepEqual(complaints.filter((c) => !EXPECTED.test(c)), [], 'nothing in the console');
  return { context, page, silent };
}

export const state = (page, name) => page.waitForFunction((n) => window.__hanja.state === n, name, { timeout: PATIENCE })
  .catch(async () => assert.fail(`state ${await page.evaluate(() => window.__hanja.state)} instead of ${name}`));

/** A screenshot, where a folder for them is named by SHOTS. */
export async function shot(page, name, more = {}) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), ...more });
}
