// The live page: boxes stand where `synth:` drew, everything is drawn, light in weight, and it costs nothing when hidden.
import { spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import { hanja, open, shot, sleep, until } from './harness.mjs';

/** How many different colours a coarse grid over a canvas shows: a blank one has one. */
const colours = (page, id) => page.evaluate((id) => {
  const canvas = document.querySelector(id);
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4 * 7) seen.add((data[i] >> 4) * 65536 + (data[i + 1] >> 4) * 256 + (data[i + 2] >> 4) + data[i + 3] / 256);
  return seen.size;
}, id);

export async function everythingIsDrawn(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url, { viewport: { width: 1280, height: 2130 } });
  const first = await page.evaluate(() => window.__hanja.pictures);
  await page.waitForFunction((n) => window.__hanja.pictures > n + 10, first);
  assert.ok(await colours(page, '#picture') > 3);
  await until('numbers arrive', () => page.evaluate(() => window.__hanja.stats), (s) => s?.infer?.fps > 0);
  for (const id of ['#waterfall', '#histogram', '#fps-chart canvas', '#latency-chart canvas', '#drops-chart canvas']) {
    await until(`${id} is drawn`, () => colours(page, id), (n) => n > 2);
  }
  const text = await page.evaluate(() => document.body.innerText);
  for (const words of ['Live, synthetic', 'Camera: none, handwriting drawn live', 'Backend: rten.', 'to detections']) assert.ok(text.includes(words), words);
  await until('a frame is followed to the screen', () => page.evaluate(() => document.querySelector('#steps').innerText), (t) => /to the screen\s+[\d.]+/.test(t));
  // The steps of the record that is drawn sum to the whole.
  const sum = await page.evaluate(() => {
    const { latency_ms: parts, end_to_end_ms: whole } = window.__hanja.record;
    return Math.abs(Object.values(parts).reduce((a, b) => a + b, 0) - whole) / whole;
  });
  assert.ok(sum < 0.01, `steps differ from the whole by ${sum}`);
  await sleep(1500);
  await shot(page, 'live');
  silent();
  await context.close();
}

export async function clockModeAndCursor(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url, { viewport: { width: 1280, height: 2130 } });
  await page.getByRole('button', { name: 'By the clock' }).click();
  await page.getByRole('button', { name: '1 min', exact: true }).click();
  const chart = page.locator('#fps-chart');
  await chart.focus();
  await until('history', () => page.evaluate(() => document.querySelector('#fps-now').innerText), (t) => /infer \d/.test(t));
  await page.keyboard.press('ArrowLeft');
  await until('the cursor speaks', () => chart.getAttribute('aria-valuetext'), (t) => /^\d/.test(t));
  await page.keyboard.press('Escape');
  await until('the cursor leaves', () => chart.getAttribute('aria-valuetext'), (t) => t.startsWith('now'));
  const box = await page.locator('#histogram').boundingBox();
  await page.mouse.move(box.x + box.width * 0.62, box.y + 29 * 5 + 15);
  await until('a bin speaks', () => page.evaluate(() => document.querySelector('#histogram-now').innerText), (t) => /model, [\d.]+ to [\d.]+ ms/.test(t));
  await shot(page, 'clock');
  silent();
  await context.close();
}

function iou(a, b) {
  const side = (i) => Math.max(0, Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i]));
  const area = (r) => (r[2] - r[0]) * (r[3] - r[1]);
  const both = side(0) * side(1);
  return both / (area(a) + area(b) - both);
}

/** The records the page drew, against the ground truth of the same frames. */
export async function boxesStandOnTheNumerals(browser, pipeline) {
  const { page, context } = await open(browser, pipeline.url);
  const tap = spawn(hanja, ['tap', 'truth', '--json', '--count', '60', '--runtime-dir', pipeline.runtime]);
  let text = '';
  tap.stdout.on('data', (chunk) => { text += chunk; });
  let running = true;
  tap.on('exit', () => { running = false; });
  while (running) await sleep(50);
  await sleep(500);
  // What the page kept: every picture of this time with its own record.
  const drawn = await page.evaluate(() => {
    const { keep } = window.__hanja;
    return Array.from({ length: keep.length }, (_, n) => keep.at(n).record).filter(Boolean);
  });
  const bySeq = new Map(drawn.map((record) => [record.frame.seq, record]));
  let glyphs = 0;
  let hits = 0;
  for (const line of text.trim().split('\n')) {
    const truth = JSON.parse(line);
    const seen = bySeq.get(truth.frame.seq);
    for (const t of seen ? truth.detections : []) {
      glyphs += 1;
      hits += seen.detections.some((d) => d.label === t.label && iou(d.box, t.box) > 0.5) ? 1 : 0;
    }
  }
  console.log(`  ${hits} of ${glyphs} synthetic numerals under a box of their class`);
  assert.ok(glyphs >= 30, `${glyphs} numerals compared`);
  assert.ok(hits >= 0.7 * glyphs, `${hits} of ${glyphs}`);
  await context.close();
}

/** All that a visit fetches, from one origin, and how much. */
export async function itIsLight(browser, pipeline) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const own = new Map();
  const foreign = [];
  page.on('response', async (response) => {
    const url = new URL(response.url());
    if (url.origin !== new URL(pipeline.url).origin) foreign.push(url.href);
    else if (/\.(js|css|svg)$|^\/$/.test(url.pathname)) own.set(url.pathname, (await response.body()).length);
  });
  await page.goto(pipeline.url, { waitUntil: 'load' });
  await page.waitForFunction(() => window.__hanja?.pictures > 0);
  const bytes = [...own.values()].reduce((a, b) => a + b, 0);
  console.log(`  ${own.size} files, ${bytes} bytes`);
  assert.deepEqual(foreign, []);
  assert.ok(own.size > 10 && bytes < 200_000, `${bytes} bytes`);
  await context.close();
}

/** A hidden page asks for nothing and is counted as no watcher; seen again, it is live again. */
export async function hiddenItCostsNothing(browser, pipeline) {
  const { page, context } = await open(browser, pipeline.url);
  const hide = (hidden) => page.evaluate((h) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => h });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await until('nobody watches', () => pipeline.json('/stats.json'), (s) => s.watchers === 0);
  await sleep(1500); // a request under way may still end
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await sleep(2500);
  assert.deepEqual(asked, []);
  const before = await page.evaluate(() => window.__hanja.pictures);
  await hide(false);
  await page.waitForFunction((n) => window.__hanja.pictures > n + 3 && window.__hanja.state === 'synthetic', before);
  await context.close();
}

export async function endpointsAnswer(_, pipeline) {
  const get = (path, options) => fetch(new URL(path, pipeline.url), options);
  await until('all is well', () => get('/healthz'), (answer) => answer.status === 200);
  const metrics = await (await get('/metrics')).text();
  assert.match(metrics, /^hanja_frames_total\{stage="infer"\} [1-9]/m);
  const snapshot = await get('/snapshot.jpg');
  assert.equal(snapshot.headers.get('content-type'), 'image/jpeg');
  assert.ok((await snapshot.arrayBuffer()).byteLength > 5000);
  assert.equal((await get('/nothing')).status, 404);
  const csp = (await get('/')).headers.get('content-security-policy');
  for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"]) assert.ok(csp.includes(rule), csp);
  assert.ok(!/unsafe|blob:|data:|\*/.test(csp), csp);
  const events = (await get('/detections')).body.getReader();
  let text = '';
  while (!/id: \S+[\s\S]*data: \{.*\}\n\n/.test(text)) text += new TextDecoder().decode((await events.read()).value);
  await events.cancel();
  assert.match(text, /"label":"[一二三四五六七八九十]"/);
  const history = await until('history', () => pipeline.json('/history.json'), (h) => h.infer.t_ms.length > 2);
  assert.equal(history.infer.fps.length, history.infer.t_ms.length);
  const newest = history.infer.t_ms.at(-1);
  const later = await pipeline.json(`/history.json?infer=${newest}`);
  assert.ok(later.infer.t_ms.every((t) => t > newest) && later.capture.t_ms.length > 2);
  assert.equal((await get('/history.json?infer=x')).status, 400);
}
