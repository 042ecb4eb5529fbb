// The same page in Firefox, as far as it needs another engine's word: it is live, holds and steps, loses and finds the
// server again, and complains of nothing. HANJA: the executable.
import { existsSync } from 'node:fs';
import assert from 'node:assert/strict';
import puppeteer from 'puppeteer-core';
import { PATIENCE, Pipeline, send } from './harness.mjs';

const executablePath = ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find(existsSync);
assert.ok(executablePath, 'needs firefox-esr');
const pipeline = await Pipeline.start('synth:?seed=1&glyphs=3');
const firefox = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true, args: ['--width=1280', '--height=1000'] });
try {
  const page = await firefox.newPage();
  await page.setViewport({ width: 1280, height: 1000 });
  const complaints = [];
  page.on('console', (m) => complaints.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => complaints.push(`error: ${e.message}`));
  const state = (name) => page.waitForFunction((n) => window.__hanja?.state === n, { timeout: PATIENCE }, name);
  await page.goto(pipeline.url);
  await state('synthetic');
  await page.waitForFunction(() => window.__hanja.keep.length > 20 && window.__hanja.stats?.infer?.fps > 0, { timeout: PATIENCE });
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/firefox.png` });
  await page.keyboard.press(' ');
  await state('paused');
  const held = await page.evaluate(() => window.__hanja.frame.seq);
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction((seq) => window.__hanja.frame.seq < seq, { timeout: PATIENCE }, held);
  await page.keyboard.press(' ');
  await state('synthetic');
  const capture = await pipeline.pid('capture');
  send(capture, 'SIGSTOP');
  await state('stale');
  send(capture, 'SIGCONT');
  await state('synthetic');
  send(await pipeline.pid('render'), 'SIGKILL');
  await state('lost');
  await state('synthetic');
  const own = complaints.filter((c) => !/NetworkError|can.t establish a connection|connection to .* was interrupted|Cross-Origin/i.test(c));
  assert.deepEqual(own, [], 'nothing in the console');
  console.log(`1 passed, 0 failed (${await firefox.version()})`);
} finally {
  await firefox.close();
  await pipeline.end();
}
