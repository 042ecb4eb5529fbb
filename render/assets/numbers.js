// The stages in figures and sentences: who runs, how fast, what limits, what is lost; and what this all is.
import { $, element, mark, pairs, put, rebuild } from "./dom.js";
import { covers, dropsSince } from "./charts.js";
import { STAGES, metrics } from "./steps.js";
import { count, ms, words } from "./words.js";

/** infer counts as the limit when it gets this share of the frames or less. */
const BEHIND = 0.95;
const MINUTE_MS = 60_000;

const fresh = (stage) => stage && !stage.silent;

/** Shows the numbers; null: the server does not answer. frame: the picture's metadata, where there is one. */
export function show(stats, frame) {
  rebuild($("stages"), "made", () => STAGES.map((name) =>
    element("div", {}, element("dt", { textContent: words[name] }), element("dd", {}, element("b"), " ", element("small")))));
  STAGES.forEach((name, n) => stageCard($("stages").children[n], stats?.[name]));
  sentences(stats, frame);
  about(stats, frame);
}

function stageCard(node, stage) {
  const live = fresh(stage);
  mark(node, "class", live ? "" : "silent");
  put(node.querySelector("b"), live ? stage.fps.toFixed(1) : words.silent);
  put(node.querySelector("small"), live ? words.fps : "");
}

function sentences(stats, frame) {
  const all = stats ? [camera(stats, frame), backend(stats), ill(stats, "render"), ...notices(stats), pace(stats), losses(stats)].filter(Boolean) : [[words.noNumbers, "bad"]];
  rebuild($("sentences"), all.map(([, mood]) => mood).join(), () => all.map(([, mood]) => element("li", { className: mood })));
  all.forEach(([text], n) => put($("sentences").children[n], text));
}

/** The judgement of a stage in a sentence, where it is not well; null: it is, or only waits for another. */
function ill(stats, stage) {
  const judged = stats.health.stages[stage];
  if (judged.state === "live" || judged.state === "waiting") return null;
  return [`${words.judged(stage, judged)}.`, judged.state === "starting" ? "warn" : "bad"];
}

/** Why the picture is not live, in words. */
export const why = (stats) => (stats ? STAGES.map((stage) => ill(stats, stage)?.[0]).filter(Boolean).join(" ") : "");

function camera(stats, frame) {
  const { capture } = stats;
  const bad = ill(stats, "capture");
  if (bad || !capture) return bad;
  if (frame?.no_signal) return [words.cameraNoSignal, "bad"];
  const size = frame ? `${frame.width}×${frame.height} ${frame.format ?? ""}`.trim() : null;
  // Before the first picture only the source tells.
  const synthetic = frame ? frame.synthetic : capture.what.startsWith("synth:");
  const say = synthetic ? words.cameraSynthetic : words.cameraLive;
  return [say(size, capture.fps.toFixed(0)), "good"];
}

function backend(stats) {
  const bad = ill(stats, "infer");
  if (bad || !stats.infer) return bad;
  if (stats.health.stages.infer.state === "waiting") return [words.inferWaits, "warn"];
  return [words.backendSays(stats.infer.backend ?? "–"), "good"];
}

/** What is worth a look and may be in order. */
const notices = (stats) => stats.health.notices.map(({ code, words: said }) => [`${words.notice[code] ?? said}.`, "warn"]);

/** Which stage limits, where one does. */
function pace({ capture, infer }) {
  if (!fresh(capture) || !fresh(infer) || !capture.fps) return null;
  const busy = ["preprocess", "submit", "inference", "postprocess"].reduce((sum, step) => sum + (infer.metrics[step]?.p50_ms ?? 0), 0);
  const room = 1000 / capture.fps;
  if (infer.fps < BEHIND * capture.fps) return [words.limit(ms(busy), ms(room)), "warn"];
  return [words.keepsUp(ms(busy), ms(room)), "good"];
}

/** Lost frames are said always; that there are none only of a minute in which both stages spoke and speak. */
function losses({ capture, infer }) {
  const drops = dropsSince(MINUTE_MS).filter(([, n]) => n);
  if (!drops.length) {
    const known = fresh(capture) && fresh(infer) && covers(MINUTE_MS, ["capture", "infer"]);
    return known ? [words.noLosses, "good"] : [words.lossesUnknown, "open"];
  }
  return [words.losses(drops.map(([reason, n]) => `${count(n)} ${words.reason[reason]}`).join(", ")), "warn"];
}

function about(stats, frame) {
  const kib = STAGES.reduce((sum, s) => sum + (stats?.[s]?.rss_kib ?? 0), 0);
  const inferred = metrics(stats).inference;
  pairs($("about"), [
    [words.source, stats?.capture?.what || "–"],
    [words.picture, frame ? `${frame.width}×${frame.height} ${frame.format ?? ""}` : "–"],
    [words.model, stats?.infer?.what || "–"],
    [words.backend, stats?.health?.backend || stats?.infer?.backend || "–"],
    [words.modelTime, inferred ? `${ms(inferred.p50_ms)} ms` : "–"],
    [words.memory, stats ? `${(kib / 1024).toFixed(0)} MiB` : "–"],
    [words.readers, stats ? STAGES.map((s) => stats[s]?.readers ?? "–").join(" · ") : "–"],
  ]);
}
