// What is not live must not look live: stopped and killed stages, a missing camera, a server that is gone.
import assert from 'node:assert/strict';
import { Pipeline, open, send, shot, state, until } from './harness.mjs';

/** The picture is covered by words and greyed; as people see it. */
async function covered(page, words) {
  const seen = await page.evaluate(() => ({
    filter: getComputedStyle(document.querySelector('#picture')).filter,
    title: document.querySelector('#cover-title').innerText,
    box: document.querySelector('#cover').getBoundingClientRect().toJSON(),
    picture: document.querySelector('#picture').getBoundingClientRect().toJSON(),
    badge: document.querySelector('#state').innerText,
  }));
  assert.match(seen.filter, /grayscale\(1\)/);
  assert.equal(seen.title, words);
  assert.match(seen.badge, new RegExp(words));
  assert.ok(seen.box.width >= seen.picture.width - 1 && seen.box.height >= seen.picture.height - 1, 'the whole picture is covered');
}

const uncovered = async (page) => assert.equal(await page.locator('#cover').isHidden(), true);
const age = async (page) => Number(/([\d.]+) s old/.exec(await page.locator('#cover-age').innerText())?.[1]);

export async function stoppedInfer(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url);
  const pid = await pipeline.pid('infer');
  send(pid, 'SIGSTOP');
  await state(page, 'noDetections');
  await uncovered(page);
  assert.match(await page.locator('#ribbon').innerText(), /infer has said nothing about it for \d/);
  await until('nothing is said of detections', () => page.locator('#chips').innerText(), (t) => t === 'No detections');
  const before = await page.evaluate(() => window.__hanja.pictures);
  await page.waitForFunction((n) => window.__hanja.pictures > n, before);
  await until('it is said in words', () => page.locator('#sentences').innerText(), (t) => /infer (is stopped|does nothing)/.test(t));
  await until('numbers are missed', () => page.locator('#stages').innerText(), (t) => /silent/.test(t));
  assert.doesNotMatch(await page.locator('#sentences').innerText(), /No frame lost/, 'nobody knows what is lost now');
  await shot(page, 'no-detections');
  send(pid, 'SIGCONT');
  await state(page, 'synthetic');
  silent();
  await context.close();
}

export async function stoppedCapture(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url);
  const pid = await pipeline.pid('capture');
  send(pid, 'SIGSTOP');
  await state(page, 'stale');
  await covered(page, 'Stale');
  const first = await age(page);
  assert.ok(first >= 2, `${first} s`);
  await until('the age grows', () => age(page), (now) => now >= first + 1);
  await until('the reason is given', () => page.locator('#cover-why').innerText(), (t) => t.length > 10);
  await shot(page, 'stale');
  send(pid, 'SIGCONT');
  await state(page, 'synthetic');
  await uncovered(page);
  silent();
  await context.close();
}

export async function killedAndStoppedRender(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url);
  send(await pipeline.pid('render'), 'SIGKILL');
  await state(page, 'lost');
  await covered(page, 'Connection lost');
  await state(page, 'synthetic');
  await uncovered(page);
  // The connection stays open, nothing comes: no answer is no life either.
  const pid = await until('another render', () => pipeline.pid('render'));
  send(pid, 'SIGSTOP');
  await page.waitForFunction(() => ['lost', 'stale'].includes(window.__hanja.state), null, { timeout: 20_000 });
  await state(page, 'lost');
  await covered(page, 'Connection lost');
  assert.match(await page.locator('#stages').innerText(), /silent[\s\S]*silent[\s\S]*silent/, 'no old numbers');
  await shot(page, 'lost');
  send(pid, 'SIGCONT');
  await state(page, 'synthetic');
  silent();
  await context.close();
}

export async function killedInferLeavesAMark(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url);
  const before = await pipeline.pid('infer');
  send(before, 'SIGKILL');
  await until('another infer', () => pipeline.pid('infer'), (pid) => pid !== before);
  await until('the history marks it', () => pipeline.json('/history.json'), (h) => h.infer.restarted.includes(1));
  await state(page, 'synthetic');
  silent();
  await context.close();
}

/** A pause is the user's will; that the pipeline dies meanwhile is said all the same. */
export async function lostWhilePaused(browser, pipeline) {
  const { page, context } = await open(browser, pipeline.url);
  await page.keyboard.press('Space');
  await state(page, 'paused');
  const pid = await pipeline.pid('render');
  send(pid, 'SIGSTOP');
  await state(page, 'lost');
  assert.match(await page.locator('#ribbon').innerText(), /Paused: .* · Connection lost/);
  await uncovered(page);
  send(pid, 'SIGCONT');
  await state(page, 'paused');
  await page.keyboard.press('Space');
  await state(page, 'synthetic');
  await context.close();
}

/** What a broken camera does, pretended by the drawn source; it passes, and then all is well again. */
export async function brokenCamera(browser) {
  const faults = [
    ['signal', 'noSignal', 'No signal', /Camera: the source has no picture/],
    ['repeat', 'repeating', 'Picture stands still', /Camera: the source delivers the same frame again/],
    ['clock', 'clockFrozen', null, /Camera: the source's time stamps stand still/],
    ['silence', 'stale', 'Stale', /Camera: the source has delivered no frame/],
  ];
  for (const [fault, name, title, words] of faults) {
    const pipeline = await Pipeline.start(`synth:?size=320x240&seed=1&glyphs=2&fault=${fault}@4-24`, '--size', '224');
    try {
      const { page, context, silent } = await open(browser, pipeline.url);
      await state(page, name);
      if (title) await covered(page, title);
      else await uncovered(page);
      await until('it is said in words', () => page.locator('#sentences').innerText(), (t) => words.test(t));
      await shot(page, `fault-${fault}`);
      await state(page, 'synthetic');
      await uncovered(page);
      silent();
      await context.close();
    } finally {
      await pipeline.end();
    }
  }
}

/** A frame in two and a half seconds is slow, not stale; and its boxes stay as long as its picture. */
export async function slowSource(browser) {
  const pipeline = await Pipeline.start('synth:?size=320x240&seed=1&glyphs=3&fps=0.4', '--size', '224');
  try {
    const { page, context, silent } = await open(browser, pipeline.url);
    await until('the server knows the rate', () => pipeline.json('/healthz'), (h) => h.stages.capture.allowed_ms > 6000 && h.stages.infer.allowed_ms > 6000);
    await state(page, 'synthetic');
    const seen = await page.evaluate(async () => {
      const states = new Set();
      let [looks, bare] = [0, 0];
      for (const end = performance.now() + 12_000; performance.now() < end; looks++) {
        states.add(window.__hanja.state);
        bare += window.__hanja.record ? 0 : 1;
        await new Promise((done) => setTimeout(done, 50));
      }
      return { states: [...states], bare: bare / looks };
    });
    assert.deepEqual(seen.states, ['synthetic']);
    // A busy machine may be late with a record.
    assert.ok(seen.bare < 0.2, `without boxes for ${seen.bare} of the time`);
    assert.equal((await fetch(new URL('/healthz', pipeline.url))).status, 200);
    await shot(page, 'slow');
    silent();
    await context.close();
  } finally {
    await pipeline.end();
  }
}

/** The end of everything: run it last. */
export async function endedPipeline(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url);
  await pipeline.end();
  await state(page, 'lost');
  await covered(page, 'Connection lost');
  await page.reload().catch(() => {}); // the browser's own error page: not ours to judge
  silent();
  await context.close();
}
