// For everybody: axe-core's rules, contrast of what canvases draw, keyboard, touch, languages, calm.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { open, shot, state, until } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function rules(page, what) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 120)} ${n.failureSummary}`).join(' | ')}`);
  assert.deepEqual(found, [], what);
  return passes.length;
}

/** Least contrast of the colours that canvases draw with, on the card and on the page. */
const contrasts = (page) => page.evaluate(() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(`--${name}`).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
    const [r, g, b] = [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const texts = ['ink', 'quiet', 'good', 'warn', 'bad', 'accent'].map((name) => [name, Math.min(ratio(name, 'card'), ratio(name, 'paper'))]);
  const marks = ['dequeue', 'publish', 'queue', 'preprocess', 'submit', 'inference', 'postprocess', 'announce', 'deliver', 'present', 'end_to_end', 'show',
    'capture', 'infer', 'render', 'lost', 'dropped', 'skipped_busy', 'skipped_undecodable', 'skipped_no_signal', 'edge'].map((name) => [name, ratio(name, 'card')]);
  return { texts, marks };
});

export async function rulesAndContrast(browser, pipeline) {
  for (const colorScheme of ['light', 'dark']) {
    const { page, context, silent } = await open(browser, pipeline.url, { colorScheme, viewport: { width: 1280, height: 2130 } });
    await until('numbers', () => page.evaluate(() => window.__hanja.stats?.infer), Boolean);
    const passed = await rules(page, colorScheme);
    console.log(`  ${colorScheme}: ${passed} rules of axe-core passed`);
    const { texts, marks } = await contrasts(page);
    for (const [name, ratio] of texts) assert.ok(ratio >= 4.5, `${colorScheme} ${name}: ${ratio.toFixed(2)}`);
    for (const [name, ratio] of marks) assert.ok(ratio >= 3, `${colorScheme} ${name}: ${ratio.toFixed(2)}`);
    if (colorScheme === 'dark') {
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.ok(background.match(/\d+/g).slice(0, 3).every((v) => Number(v) < 80), background);
    }
    await page.waitForTimeout(1500);
    await shot(page, colorScheme);
    await page.keyboard.press('Space');
    await state(page, 'paused');
    await rules(page, `${colorScheme}, paused`);
    silent();
    await context.close();
  }
}

/** Tab reaches every control in order, and what has the focus shows it. */
export async function keyboard(browser, pipeline) {
  const { page, context } = await open(browser, pipeline.url);
  // There is nothing to step through before some pictures are kept.
  for (const id of ['first', 'back', 'scrub']) await until(`${id} can be used`, () => page.locator(`#${id}`).isEnabled(), Boolean);
  const reached = [];
  for (let n = 0; n < 40; n++) {
    await page.keyboard.press('Tab');
    const here = await page.evaluate(() => {
      const node = document.activeElement;
      return { id: node.id || node.getAttribute('href') || node.dataset.value || node.tagName, outline: getComputedStyle(node).outlineStyle, label: node.getAttribute('aria-label') || node.innerText };
    });
    if (here.id === 'BODY' || reached.includes(here.id)) break;
    assert.notEqual(here.outline, 'none', `${here.id} shows its focus`);
    assert.ok(here.label, `${here.id} has a name`);
    reached.push(here.id);
  }
  for (const id of ['pause', 'boxes', 'full', 'snap', 'first', 'back', 'scrub', 'sensor', 'clock', 'fps-chart', 'latency-chart', 'drops-chart', '/metrics']) assert.ok(reached.includes(id), `${id} in ${reached}`);
  await page.locator('#pause').focus();
  await page.keyboard.press('Space');
  await state(page, 'paused'); // once, not twice
  await context.close();
}

export async function calm(browser, pipeline) {
  const moving = (page) => page.evaluate(() => document.getAnimations().length);
  const lively = await open(browser, pipeline.url);
  assert.ok(await moving(lively.page) > 0, 'the mark breathes');
  await lively.context.close();
  const { page, context } = await open(browser, pipeline.url, { reducedMotion: 'reduce' });
  assert.equal(await moving(page), 0);
  await context.close();
}

export async function phone(browser, pipeline) {
  const options = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  const { page, context, silent } = await open(browser, pipeline.url, options);
  await until('numbers', () => page.evaluate(() => window.__hanja.stats?.infer), Boolean);
  const fit = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    small: [...document.querySelectorAll('button, .button, input')].map((n) => [n.id, n.getBoundingClientRect()]).filter(([, r]) => r.width && Math.min(r.width, r.height) < 36).map(([id]) => id),
    out: [...document.querySelectorAll('main *, header *')].filter((n) => n.getBoundingClientRect().right > 348.5 && !n.closest('.unseen')).map((n) => n.id || n.tagName),
  }));
  assert.deepEqual(fit, { wide: 360, small: [], out: [] });
  await shot(page, 'phone-top');
  await page.locator('#back').tap();
  await state(page, 'paused');
  await page.locator('#pause').tap();
  await state(page, 'synthetic');
  const { width } = await page.locator('#waterfall').boundingBox();
  // By touch: notes of frames passed over cannot be held, so several rows are tried.
  for (let row = 10; row > 4 && !(await page.evaluate(() => window.__hanja.paused)); row--) await page.locator('#waterfall').tap({ position: { x: width / 2, y: 14 * row + 7 } });
  await state(page, 'paused');
  await shot(page, 'phone-held');
  await rules(page, 'phone');
  silent();
  await context.close();
}

export async function korean(browser, pipeline) {
  const { page, context, silent } = await open(browser, pipeline.url, { locale: 'ko-KR', viewport: { width: 1280, height: 2130 } });
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'ko');
  await until('numbers', () => page.evaluate(() => window.__hanja.stats?.infer), Boolean);
  assert.match(await page.evaluate(() => document.body.innerText), /실시간 합성 영상[\s\S]*카메라: 없음/);
  await rules(page, 'korean');
  await page.waitForTimeout(1000);
  await shot(page, 'korean');
  // The same words in both languages, each of the same kind.
  const differences = await page.evaluate(async () => {
    const [{ ENGLISH }, { KOREAN }] = await Promise.all([import('/words.en.js'), import('/words.ko.js')]);
    const shape = (words, prefix = '') => Object.entries(words).flatMap(([key, value]) => (typeof value === 'object' ? shape(value, `${prefix}${key}.`) : [`${prefix}${key}:${typeof value}:${value.length > 0}`]));
    const [en, ko] = [shape(ENGLISH), shape(KOREAN)];
    const kind = (s) => s.replace(/:(true|false)$/, '');
    const used = [...document.querySelectorAll('[data-word], [data-label]')].map((n) => n.dataset.word ?? n.dataset.label).filter((w) => w !== 'keptMost' && typeof ENGLISH[w] !== 'string');
    return [...en.map(kind).filter((k) => !ko.map(kind).includes(k)), ...ko.map(kind).filter((k) => !en.map(kind).includes(k)), ...used];
  });
  assert.deepEqual(differences, []);
  await page.goto(`${pipeline.url}?lang=en`);
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
  silent();
  await context.close();
}
