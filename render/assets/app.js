// The page: what comes from the feed goes to the picture, the waterfall and the charts; keys and buttons come back.
import * as charts from "./charts.js";
import { $, choice, element, mark, put, rebuild } from "./dom.js";
import { Feed } from "./feed.js";
import * as histogram from "./histogram.js";
import { Keep, MOST_BYTES, MOST_FRAMES } from "./keep.js";
import * as meet from "./meet.js";
import * as numbers from "./numbers.js";
import { decode, percent, redraw, save, setBoxes, show } from "./picture.js";
import { judge } from "./state.js";
import * as waterfall from "./waterfall.js";
import { ago, count, ms, translate, words } from "./words.js";

/** The state is looked at five times a second, for what passes without anything coming. */
const LOOK_MS = 200;
const startedAt = performance.now();
const keep = new Keep();
let stats = null;
let newest = null; // the last picture taken: {body, record, frame, at, ageMs}
let recordAt = 0; // last picture with a record
let signalAt = 0; // last picture with a signal
let held = null; // the item that is held, paused or not at all: null
let paused = false;
let boxes = true;
let notLive = true; // then nothing is said of detections
let detections = []; // of the picture on the canvas
/** What tests look at. */
const probe = (window.__hanja = { record: null, frame: null, pictures: 0, stats: null, boxes: true, paused: false, state: "connecting", keep });

const feed = new Feed({ picture: take, record, gap: () => waterfall.gap(), numbers: figures, changed: look });

async function take({ headers, body }) {
  const json = (name) => (headers.has(name) ? JSON.parse(headers.get(name)) : null);
  const bitmap = await decode(body);
  if (!bitmap) return; // a damaged picture from the camera: the next one comes
  if (paused) return bitmap.close();
  const [found, frame, now] = [json("x-record"), json("x-frame"), Number(headers.get("x-now"))];
  meet.picture(found, now);
  const sensor = frame?.times_ns?.sensor;
  newest = { body, record: found, frame, at: performance.now(), ageMs: sensor && now ? (now - sensor) / 1e6 : null };
  if (found) recordAt = newest.at;
  if (!frame?.no_signal) signalAt = newest.at;
  keep.add(newest);
  if (probe.pictures++ === 0) numbers.show(stats, frame); // now that the size is known
  display(newest, bitmap);
  look();
  chips();
}

function display(item, bitmap) {
  show(bitmap, item.record?.detections ?? []);
  probe.record = item.record;
  probe.frame = item.frame;
  detections = item.record?.detections ?? [];
}

function record(json) {
  meet.record(json);
  histogram.add(json);
  waterfall.add(json);
}

function figures(next, history) {
  stats = probe.stats = next;
  charts.add(history);
  numbers.show(next, newest?.frame);
  waterfall.numbers(next);
  histogram.refresh();
  look();
}

// ---- state

/** The state of the page, its badge and the cover over a picture that is not live. */
function look() {
  const now = performance.now();
  const stages = stats?.health?.stages;
  const verdict = judge({
    now, startedAt, paused, lostAt: feed.lostAt, streaming: feed.streaming, shownAt: newest?.at ?? 0,
    dataAgeMs: newest?.ageMs ?? null, recordAt: recordAt || startedAt,
    noSignal: newest?.frame?.no_signal, synthetic: newest?.frame?.synthetic,
    source: stages?.capture.state, frameAllowedMs: stages?.capture.allowed_ms, recordAllowedMs: stages?.infer.allowed_ms,
  });
  const { name, covered, since } = verdict;
  const changed = probe.state !== name;
  probe.state = name;
  notLive = covered || name === "noDetections";
  mark($("state"), "data-state", name);
  put($("state-text"), words.state[name]);
  mark($("stage"), "data-covered", covered);
  $("cover").hidden = !covered;
  if (covered) {
    put($("cover-title"), words.state[name]);
    put($("cover-text"), words.hint[name]);
    put($("cover-age"), lastAge(name, now - since));
    put($("cover-why"), feed.lostAt === null ? numbers.why(stats) : "");
  }
  const hint = covered ? null : words.hint[name];
  $("ribbon").hidden = !hint && !paused;
  if (paused) put($("ribbon"), heldWords(now));
  else if (hint) put($("ribbon"), typeof hint === "function" ? hint(ago(now - since)) : hint);
  steps();
  if (changed) chips();
}

/** How old the picture under the cover is, where that says something. */
function lastAge(name, age) {
  // The frames that come are no pictures, or not of now: what they are is said, since when by the server's words.
  if (!newest || name === "repeating") return "";
  if (name === "noSignal") return signalAt ? words.lastPicture(ago(performance.now() - signalAt)) : "";
  return words.lastPicture(ago(age + (newest.ageMs ?? 0)));
}

function heldWords(now) {
  if (!held) return words.heldNothing;
  const seq = count(held.frame?.seq ?? 0);
  const lost = feed.lostAt === null ? "" : ` · ${words.state.lost}`;
  return `${words.held(seq, ago(now - held.at))}${lost}`;
}

// ---- pause and step

function setPaused(on) {
  if (paused === on) return;
  paused = probe.paused = feed.paused = on;
  put($("pause-text"), on ? words.resume : words.pause);
  put($("snap-text"), on ? words.save : words.snapshot);
  mark($("stage"), "data-paused", on);
  if (on) {
    hold(keep.length - 1);
  } else {
    held = null;
    recordAt = performance.now(); // a pause is no silence of infer
    waterfall.hold(null);
    put($("told"), "");
  }
  look();
}

/** Holds the kept picture at `index`, counted from the oldest. */
async function hold(index) {
  const item = keep.at(Math.min(keep.length - 1, Math.max(0, index)));
  if (!item) return;
  held = item;
  waterfall.hold(item.record);
  steps();
  const bitmap = await decode(item.body);
  if (held !== item) return bitmap?.close(); // stepped on meanwhile
  if (bitmap) display(item, bitmap);
  chips();
  tell(item);
  look();
}

/** Holds the frame of a record, with its picture if one was made. */
function pick(found) {
  setPaused(true);
  const index = keep.find(found.frame.generation, found.frame.seq);
  if (index >= 0) return hold(index);
  held = null;
  waterfall.hold(found);
  put($("told"), words.noPicture(count(found.frame.seq)));
  put($("held-text"), words.noPicture(count(found.frame.seq)));
}

function tell(item) {
  const found = item.record?.detections ?? [];
  const text = found.map((d) => `${d.label} ${percent(d.score)} %`).join(", ") || words.none;
  const total = item.record ? ` · ${ms(item.record.end_to_end_ms)} ms` : "";
  put($("told"), `${words.frameNumber(count(item.frame?.seq ?? 0))}: ${text}${total}`);
}

const position = () => keep.indexOf(held);

function step(by) {
  if (!paused) setPaused(true);
  const from = position();
  hold((from < 0 ? keep.length - 1 : from) + by);
}

/** The row of buttons and the slider. */
function steps() {
  const last = keep.length - 1;
  const at = paused ? position() : last;
  const slider = $("scrub");
  slider.max = Math.max(0, last);
  if (at >= 0) slider.value = at;
  slider.disabled = last < 1;
  for (const id of ["first", "back"]) $(id).disabled = last < 1 || (paused && at === 0);
  for (const id of ["forward", "last"]) $(id).disabled = !paused || at === last;
  const span = keep.length ? (keep.at(last).at - keep.at(0).at) / 1000 : 0;
  put($("kept"), words.kept(count(keep.length), span.toFixed(1), (keep.bytes / (1 << 20)).toFixed(1)));
  put($("held-text"), paused ? words.position(at + 1, keep.length) : "");
  mark(slider, "aria-valuetext", paused && held ? words.held(count(held.frame?.seq ?? 0), ago(performance.now() - held.at)) : words.now);
}

/** What is in the picture on the canvas, at the same moment; rebuilt only when other numerals are there. */
function chips() {
  // Left to right, so that a chip stays where its numeral is.
  const sorted = notLive ? [] : [...detections].sort((a, b) => a.box[0] - b.box[0]);
  const empty = notLive ? words.state[probe.state] : words.none;
  rebuild($("chips"), sorted.map((d) => d.class).join() || empty, () => sorted.length
    ? sorted.map((d) => element("li", {}, element("b", { className: `k${d.class % 10}`, textContent: d.label, lang: "zh-Hant" }), element("span")))
    : [element("li", { className: "none", textContent: empty })]);
  $("chips").querySelectorAll("span").forEach((node, n) => put(node, `${percent(sorted[n].score)} %`));
}

// ---- controls

function toggleBoxes() {
  boxes = probe.boxes = !boxes;
  mark($("boxes"), "aria-pressed", boxes);
  setBoxes(boxes);
}

function fullscreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen?.();
  change?.catch(() => {}); // not allowed here: nothing to be done
}

/** Live: the server's own snapshot. Held: the picture as it stands here. */
async function snapshot(event) {
  if (!paused) return;
  event.preventDefault();
  const url = URL.createObjectURL(await save());
  element("a", { href: url, download: `hanja-${held?.frame?.seq ?? 0}.jpg` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const ACTIONS = { pause: () => setPaused(!paused), boxes: toggleBoxes, full: fullscreen, first: () => step(-MOST_FRAMES), back: () => step(-1), forward: () => step(1), last: () => step(MOST_FRAMES) };
const KEYS = { " ": ACTIONS.pause, b: toggleBoxes, f: fullscreen, s: () => $("snap").click(), ArrowLeft: ACTIONS.back, ArrowRight: ACTIONS.forward, Home: ACTIONS.first, End: ACTIONS.last, Escape: () => setPaused(false) };

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { target } = event;
  // A focused control takes its own keys itself.
  const own = event.key === " " ? "button, a, summary" : /^(Arrow|Home|End)/.test(event.key) ? "input, [role=slider]" : "";
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || (own && target.closest(own))) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  // The page scrolls by Home and End as long as it is live.
  if (!paused && (event.key === "Home" || event.key === "End")) return;
  event.preventDefault();
  action();
}

for (const [id, action] of Object.entries(ACTIONS)) $(id).addEventListener("click", action);
$("scrub").addEventListener("input", () => {
  const index = Number($("scrub").value);
  setPaused(true);
  hold(index);
});
$("snap").addEventListener("click", snapshot);
document.addEventListener("keydown", key);
addEventListener("resize", redraw);
choice($("waterfall-mode"), (value) => waterfall.setClock(value === "clock"));
choice($("window"), (value) => charts.setWindow(Number(value)));

translate({ keptMost: words.keptMost(count(MOST_FRAMES), MOST_BYTES >> 20) });
chips();
waterfall.start(pick);
charts.start();
histogram.start();
feed.start();
setInterval(() => document.hidden || look(), LOOK_MS);
