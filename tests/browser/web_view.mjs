// The web view in a real browser over the real pipeline: boxes stand where `synth:` drew, numbers move, the console is
// silent, in both languages, light and dark, on a phone. HANJA: the executable; SHOTS: a folder for screenshots.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, mkdirSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const hanja = process.env.HANJA ?? 'hanja';
const shots = process.env.SHOTS;
const dir = mkdtempSync(join(tmpdir(), 'hanja-web-'));
const runtime = join(dir, 'run');
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

function start() {
  const child = spawn(hanja, ['run', '--source', 'synth:?seed=1&glyphs=3&truth=1', '--http', '127.0.0.1:0', '--runtime-dir', runtime]);
  const address = new Promise((resolve, reject) => {
    let log = '';
    const read = (chunk) => {
      log += chunk;
      const found = /view at (http:\/\/\S+)/.exec(log);
      if (found) resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`hanja ended with ${code}: ${log}`)));
    setTimeout(() => reject(new Error(`no address after 10 s: ${log}`)), 10_000).unref();
  });
  return { child, address };
}

function iou(a, b) {
  const side = (i) => Math.max(0, Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i]));
  const area = (r) => (r[2] - r[0]) * (r[3] - r[1]);
  const both = side(0) * side(1);
  return both / (area(a) + area(b) - both);
}

async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US', ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (m) => complaints.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => complaints.push(`error: ${e.message}`));
  await page.goto(url);
  await page.waitForFunction(() => window.__hanja?.record?.detections?.length >= 2, null, { timeout: 15_000 });
  return { context, page, complaints };
}

async function shot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}

// How many different colours a coarse grid over the canvas shows: a blank one has one.
const colours = (page) => page.evaluate(() => {
  const canvas = document.querySelector('canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4 * 37) seen.add((data[i] >> 4) * 256 + (data[i + 1] >> 4) * 16 + (data[i + 2] >> 4));
  return seen.size;
});

async function picture({ page }) {
  assert.ok(await colours(page) > 3, 'the canvas shows a picture');
  const first = await page.evaluate(() => ({ n: window.__hanja.pictures, seq: window.__hanja.record.frame.seq }));
  await page.waitForTimeout(1500);
  const second = await page.evaluate(() => ({ n: window.__hanja.pictures, seq: window.__hanja.record.frame.seq }));
  assert.ok(second.n >= first.n + 5, `pictures move: ${first.n} to ${second.n}`);
  assert.ok(second.seq > first.seq, 'frame numbers rise');
}

// The records the page drew, against the ground truth of the same frames.
async function boxes({ page }) {
  const tap = spawn(hanja, ['tap', 'truth', '--json', '--count', '60', '--runtime-dir', runtime]);
  let text = '';
  tap.stdout.on('data', (chunk) => { text += chunk; });
  const drawn = new Map();
  const ended = new Promise((resolve) => tap.on('exit', resolve));
  let running = true;
  ended.then(() => { running = false; });
  while (running) {
    const record = await page.evaluate(() => window.__hanja.record);
    drawn.set(record.frame.seq, record);
    await page.waitForTimeout(15);
  }
  let glyphs = 0;
  let hits = 0;
  for (const line of text.trim().split('\n')) {
    const truth = JSON.parse(line);
    const seen = drawn.get(truth.frame.seq);
    if (!seen) continue;
    for (const t of truth.detections) {
      glyphs += 1;
      hits += seen.detections.some((d) => d.label === t.label && iou(d.box, t.box) > 0.5) ? 1 : 0;
    }
  }
  console.log(`boxes: ${hits} of ${glyphs} synthetic numerals under a box of their class`);
  assert.ok(glyphs >= 30, `${glyphs} numerals compared`);
  assert.ok(hits >= 0.7 * glyphs, `${hits} of ${glyphs}`);
}

async function keys({ page }) {
  await page.keyboard.press('Space');
  await page.waitForTimeout(400);
  const held = await page.evaluate(() => window.__hanja.record.frame.seq);
  await page.waitForTimeout(700);
  assert.equal(await page.evaluate(() => window.__hanja.record.frame.seq), held, 'space holds the picture');
  const withBoxes = await page.evaluate(() => document.querySelector('canvas').toDataURL());
  await page.keyboard.press('b');
  await page.waitForTimeout(300);
  assert.notEqual(await page.evaluate(() => document.querySelector('canvas').toDataURL()), withBoxes, 'b takes the boxes away');
  await page.keyboard.press('b');
  await page.keyboard.press('Space');
  await page.waitForFunction((seq) => window.__hanja.record.frame.seq > seq, held, { timeout: 5000 });
  await page.keyboard.press('Tab');
  assert.notEqual(await page.evaluate(() => document.activeElement.tagName), 'BODY', 'Tab reaches a control');
}

async function endpoints(url) {
  const get = (path, options) => fetch(new URL(path, url), options);
  const health = await get('/healthz');
  assert.equal(health.status, 200);
  assert.equal((await health.json()).ok, true);
  const metrics = await (await get('/metrics')).text();
  assert.match(metrics, /^hanja_frames_total\{stage="infer"\} [1-9]/m);
  const snapshot = await get('/snapshot.jpg');
  assert.equal(snapshot.headers.get('content-type'), 'image/jpeg');
  assert.ok((await snapshot.arrayBuffer()).byteLength > 5000);
  assert.equal((await get('/nothing')).status, 404);
  const events = (await get('/detections')).body.getReader();
  let text = '';
  while (!/id: \S+[\s\S]*data: \{.*\}\n\n/.test(text)) text += new TextDecoder().decode((await events.read()).value);
  await events.cancel();
  assert.match(text, /"label":"[一二三四五六七八九十]"/);
}

const { child, address } = start();
let browser;
try {
  const url = await address;
  browser = await chromium.launch({
    executablePath: browserPath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const main = await open(browser, url);
  await picture(main);
  await boxes(main);
  await keys(main);
  await endpoints(url);
  assert.equal(await main.page.evaluate(() => document.documentElement.lang), 'en');
  await shot(main.page, 'light');

  const korean = await open(browser, url, { locale: 'ko-KR' });
  assert.equal(await korean.page.evaluate(() => document.documentElement.lang), 'ko');
  assert.match(await korean.page.evaluate(() => document.body.innerText), /[가-힣]{2}/);
  await shot(korean.page, 'korean');

  const dark = await open(browser, url, { colorScheme: 'dark' });
  const background = await dark.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(background.match(/\d+/g).slice(0, 3).every((v) => Number(v) < 80), `dark background: ${background}`);
  await shot(dark.page, 'dark');

  const phone = await open(browser, url, { viewport: { width: 390, height: 844 }, hasTouch: true });
  const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `no sideways scrolling on a phone: ${wide}`);
  await shot(phone.page, 'phone');

  child.removeAllListeners('exit');
  child.kill('SIGTERM');
  await main.page.waitForTimeout(3000);
  const after = await main.page.evaluate(() => document.body.innerText);
  assert.match(after, /Disconnected/i, 'a dead pipeline is not taken for a live one');
  await shot(main.page, 'disconnected');
  const all = [main, korean, dark, phone].flatMap((p) => p.complaints);
  // A server that is gone is reported by the browser itself.
  const own = all.filter((c) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE/.test(c));
  assert.deepEqual(own, [], 'nothing in the console');
  console.log('1 passed, 0 failed');
} finally {
  await browser?.close();
  child.kill('SIGKILL');
  try { execFileSync('pkill', ['-9', '-f', runtime]); } catch { /* nothing left, as it should be */ }
  rmSync(dir, { recursive: true, force: true });
}
