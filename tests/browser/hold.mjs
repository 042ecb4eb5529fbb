// Pause and step: a frame is held with its boxes and times, and the kept ones are walked through.
import assert from 'node:assert/strict';
import { open, shot, state, until } from './harness.mjs';

const seq = (page) => page.evaluate(() => window.__hanja.frame.seq);
const pixels = (page) => page.evaluate(() => document.querySelector('#picture').toDataURL());

async function reaches(page, what, good) {
  return until(what, () => seq(page), good);
}

export async function keysHoldAndStep(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url, { viewport: { width: 1280, height: 1500 } });
  await page.waitForFunction(() => window.__hanja.keep.length > 20);
  await page.keyboard.press('Space');
  await state(page, 'paused');
  await until('no picture is made for a paused page', () => pipeline.json('/stats.json'), (s) => s.watchers === 0);
  const held = await seq(page);
  await page.waitForTimeout(700);
  assert.equal(await seq(page), held, 'space holds the picture');
  let last = held;
  for (let n = 0; n < 3; n++) {
    const before = last;
    await page.keyboard.press('ArrowLeft');
    last = await reaches(page, 'one back', (s) => s < before);
  }
  const [record, frame] = await page.evaluate(() => [window.__hanja.record, window.__hanja.frame]);
  if (record) assert.equal(record.frame.seq, frame.seq, 'the boxes are those of this very frame');
  assert.match(await page.locator('#ribbon').innerText(), new RegExp(`^Paused: frame ${frame.seq.toLocaleString('en')}`));
  await until('it is told', () => page.locator('#told').innerText(), (t) => t.includes(frame.seq.toLocaleString('en')));
  assert.match(await page.locator('#frame-head').innerText(), /frame/);
  await shot(page, 'held');
  await page.keyboard.press('End');
  await reaches(page, 'the newest', (s) => s === held);
  await page.keyboard.press('Home');
  const oldest = await reaches(page, 'the oldest', (s) => s < held - 10);
  assert.equal(await page.locator('#back').isDisabled(), true);
  await page.locator('#scrub').focus();
  await page.keyboard.press('ArrowRight');
  await reaches(page, 'the slider steps', (s) => s > oldest);
  const withBoxes = await pixels(page);
  await page.keyboard.press('b');
  if (await page.evaluate(() => window.__hanja.record?.detections.length)) assert.notEqual(await pixels(page), withBoxes, 'b takes the boxes away');
  await page.keyboard.press('b');
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('s')]);
  assert.match(download.suggestedFilename(), /^hanja-\d+\.jpg$/);
  await page.locator('#pause').click();
  await state(page, 'synthetic');
  await reaches(page, 'pictures move again', (s) => s > held);
  silent();
  await context.close();
}

export async function aRowOfTheWaterfallIsHeld(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url, { viewport: { width: 1280, height: 2130 }, reducedMotion: 'reduce' });
  await page.waitForFunction(() => window.__hanja.keep.length > 30);
  const box = await page.locator('#waterfall').boundingBox();
  await page.mouse.move(box.x + 200, box.y + 14 * 12 + 7);
  // Notes of frames passed over cannot be held: try rows until one is a frame.
  for (let row = 12; row > 4 && !(await page.evaluate(() => window.__hanja.paused)); row--) await page.mouse.click(box.x + 200, box.y + 14 * row + 7);
  await state(page, 'paused');
  const head = await until('the frame of the row', () => page.locator('#frame-head').innerText(), (t) => /frame [\d,]+/.test(t));
  const number = Number(/[\d,]+/.exec(head)[0].replaceAll(',', ''));
  const told = await until('it is told', () => page.locator('#told').innerText(), Boolean);
  assert.ok(told.includes(number.toLocaleString('en')), `${told} / ${number}`);
  await page.keyboard.press('Escape');
  await state(page, 'synthetic');
  silent();
  await context.close();
}

/** The pure parts, in the browser that runs them. */
export async function boundsAndJudgement(browser, pipeline) {
  const { page, context } = await open(browser, pipeline.url);
  const kept = await page.evaluate(async () => {
    const { Keep, MOST_BYTES, MOST_FRAMES } = await import('/keep.js');
    const many = new Keep();
    for (let seq = 0; seq < 1000; seq++) many.add({ body: new Uint8Array(10), frame: { generation: 1, seq } });
    const large = new Keep();
    for (let n = 0; n < 9; n++) large.add({ body: { length: 5 << 20 } });
    const huge = new Keep();
    huge.add({ body: { length: 99 << 20 } });
    return [many.length === MOST_FRAMES, many.bytes === 10 * MOST_FRAMES, many.find(1, 999) === MOST_FRAMES - 1, many.find(1, 3) === -1, large.bytes <= MOST_BYTES, large.length === 4, huge.length === 1];
  });
  assert.deepEqual(kept, Array(7).fill(true));
  const names = await page.evaluate(async () => {
    const { judge } = await import('/state.js');
    const live = { now: 10_000, startedAt: 0, paused: false, lostAt: null, streaming: true, shownAt: 9990, dataAgeMs: 20, recordAt: 9990, noSignal: false, synthetic: false };
    const name = (more) => { const v = judge({ ...live, ...more }); return `${v.name}${v.covered ? '!' : ''}`; };
    return [name({}), name({ synthetic: true }), name({ shownAt: 7900 }), name({ dataAgeMs: 2500 }), name({ noSignal: true }), name({ recordAt: 8000 }), name({ lostAt: 9999 }),
      name({ paused: true }), name({ paused: true, lostAt: 9999 }), name({ shownAt: 0 }), name({ shownAt: 0, lostAt: 100, now: 2000 }), name({ shownAt: 0, lostAt: 100 }), name({ streaming: false }), name({ source: 'repeating' }), name({ source: 'clock_frozen' })];
  });
  assert.deepEqual(names, ['live', 'synthetic', 'stale!', 'stale!', 'noSignal!', 'noDetections', 'lost!', 'paused', 'lost', 'connecting!', 'connecting!', 'lost!', 'connecting!', 'repeating!', 'clockFrozen']);
  await context.close();
}
