// Names that want to be markup stay words: of a model, of a source, of a label in a record.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { Pipeline, open, until } from './harness.mjs';

const EVIL = '<img src=x onerror=window.owned=1>';

export async function namesStayWords(browser) {
  const dir = mkdtempSync(join(tmpdir(), 'hanja-evil-'));
  const model = join(dir, `${EVIL}.onnx`);
  copyFileSync(new URL('../../model/weights/hanja-pico.onnx', import.meta.url), model);
  const source = join(dir, EVIL);
  mkdirSync(source);
  copyFileSync(new URL('../../docs/images/training.png', import.meta.url), join(source, 'page.png'));
  const pipeline = await Pipeline.start(`dir:${source}?fps=10&loop=1`, '--model', model);
  try {
    const { page, silent } = await open(browser, pipeline.url, { live: false });
    const about = await until('the names are shown', () => page.locator('#about').innerText(), (t) => t.split(EVIL).length > 2);
    assert.ok(about.includes(EVIL));
    assert.deepEqual(await page.evaluate(() => [window.owned, document.querySelectorAll('main img').length]), [undefined, 0]);
    silent();
  } finally {
    await pipeline.end();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A server that lies: labels, numbers and headers that no pipeline would send. */
export async function recordsStayWords(browser, pipeline) {
  const context = await browser.newContext({ locale: 'en-US' });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (e) => errors.push(e.message));
  const jpeg = Buffer.from(await (await fetch(new URL('/snapshot.jpg', pipeline.url))).arrayBuffer());
  const record = {
    seq: 1, generation: 1, frame: { generation: 1, seq: 1, width: 640, height: 480 }, detections: [{ class: 3, label: EVIL, score: 0.9, box: [1, 2, 300, 200] }, { class: 65535, label: '', score: null, box: [NaN, null, 1e30, -1e30] }],
    times_ns: { sensor: 1 }, latency_ms: { [EVIL]: 1, inference: 2 }, end_to_end_ms: 3,
  };
  const part = (headers, body) => Buffer.concat([Buffer.from(`--hanja\r\nContent-Length: ${body.length}\r\n${headers}\r\n`), body, Buffer.from('\r\n')]);
  const parts = [part('X-Frame: {}\r\n', Buffer.from('no jpeg')), part('', jpeg), part(`X-Now: x\r\nX-Frame: {}\r\nX-Record: ${JSON.stringify(record)}\r\n`, jpeg)];
  await page.route('**/stream.mjpg', (route) => route.fulfill({ body: Buffer.concat(parts), contentType: 'multipart/x-mixed-replace; boundary=hanja' }));
  await page.route('**/detections', (route) => route.fulfill({ body: `id: 1-1\ndata: ${JSON.stringify(record)}\n\n`, contentType: 'text/event-stream' }));
  await page.goto(pipeline.url);
  const chips = await until('the label is shown', () => page.locator('#chips').innerText(), (t) => t.includes(EVIL));
  assert.ok(chips.includes('90 %'));
  assert.deepEqual(await page.evaluate(() => [window.owned, document.querySelectorAll('main img').length]), [undefined, 0]);
  // And if a line of ours ever made markup of words, the browser would refuse.
  assert.match(await page.evaluate(() => { try { document.createElement('p').innerHTML = '<b>x</b>'; return 'done'; } catch (e) { return e.name; } }), /TypeError/);
  assert.deepEqual(errors, []);
  await context.close();
}
