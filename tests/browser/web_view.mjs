// The web view in a real browser over the real pipeline with the synthetic source. HANJA: the executable; SHOTS: a folder
// for screenshots; an argument: only tests whose names contain it.
import { Pipeline, browser } from './harness.mjs';
import * as access from './access.mjs';
import * as hold from './hold.mjs';
import * as hostile from './hostile.mjs';
import * as live from './live.mjs';
import * as states from './states.mjs';

// The end of the pipeline comes last.
const { endedPipeline, ...before } = states;
const tests = Object.values({ ...live, ...hold, ...access, ...hostile, ...before, endedPipeline });
const chosen = tests.filter((test) => test.name.includes(process.argv[2] ?? ''));

const pipeline = await Pipeline.start('synth:?seed=1&glyphs=3&truth=1');
const chromium = await browser();
const failed = [];
try {
  for (const test of chosen) {
    const started = Date.now();
    try {
      await test(chromium, pipeline);
      console.log(`ok ${test.name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (e) {
      failed.push(test.name);
      console.log(`FAILED ${test.name}: ${e.stack}`);
    }
    for (const context of chromium.contexts()) await context.close();
  }
} finally {
  await chromium.close();
  await pipeline.end();
}
console.log(`${chosen.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length || !chosen.length ? 1 : 0;
