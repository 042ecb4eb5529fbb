// The last frames as a waterfall: a row for each, its steps as bars, either from its own beginning or by the clock, and
// between them what was passed over. Beside it the same in numbers.
import { $, element, mark, put, rebuild } from "./dom.js";
import { Surface, calm, colour, nice, ticks } from "./draw.js";
import { STEPS, TOTALS, frameKey, metrics, sensorMs, spans, spent } from "./steps.js";
import { count, ms, words } from "./words.js";

const KEPT = 400;
const ROW = 14;
const BAR = 9;
const LEFT = 66;
const RIGHT = 52;
const AXIS = 22;
/** Faster than this, rows fly past and nobody can read them. */
const PACE_MS = 250;
const CALM_MS = 1000;

let rows = []; // {record} or {note}
let shown = []; // the rows on the canvas
let byClock = false;
let hovered = null;
let held = null; // the record of the held frame
let frozen = false; // nothing moves under a pointer, or while a frame is held
let last = null;
let lastPaint = 0;
let stats = null;
let surface;

/** picked(record) is called when a row is chosen. */
export function start(picked) {
  surface = new Surface($("waterfall"), paint);
  surface.pointer((x, y) => {
    hovered = x === null ? null : rowAt(y);
    frozen = x !== null;
    surface.request();
    table();
  }, (_, y) => {
    const record = rowAt(y);
    if (record) picked(record);
  });
}

export function setClock(on) {
  byClock = on;
  surface.request();
}

/** Every record, as it comes. */
export function add(record) {
  if (last) {
    const [a, b] = [last.frame, record.frame];
    if (a.generation !== b.generation) rows.push({ note: words.newCapture });
    else if (last.generation !== record.generation) rows.push({ note: words.newInfer });
    else if (b.seq > a.seq + 1) rows.push({ note: words.passedOver(b.seq - a.seq - 1), skipped: b.seq - a.seq - 1 });
  }
  last = record;
  rows.push({ record });
  if (rows.length > KEPT) rows = rows.slice(-KEPT / 2);
  const now = performance.now();
  if (frozen || held || now - lastPaint < (calm() ? CALM_MS : PACE_MS)) return;
  lastPaint = now;
  surface.request();
}

/** Records are missing here. */
export function gap() {
  last = null;
  rows.push({ note: words.missing });
}

export function numbers(next) {
  stats = next;
  table();
}

/** Holds a record, or none: then rows move again. */
export function hold(record) {
  held = record;
  surface.request();
  table();
}

function rowAt(y) {
  return shown[Math.floor(y / ROW)]?.record ?? null;
}

/** The rows that fit: the newest ones, or those around the held frame. */
function choose(fit) {
  let end = rows.length;
  if (held) {
    const at = rows.findIndex(({ record }) => record && frameKey(record.frame) === frameKey(held.frame));
    if (at >= 0) end = Math.min(rows.length, Math.max(at + Math.ceil(fit / 2), fit));
    else return [{ record: held }];
  }
  return rows.slice(Math.max(0, end - fit), end);
}

const isHeld = (record) => held && frameKey(record.frame) === frameKey(held.frame);

function paint(brush, width, height) {
  if (!frozen || !shown.length) shown = choose(Math.floor((height - AXIS) / ROW));
  const records = shown.filter((row) => row.record).map((row) => row.record);
  if (!records.length) return;
  const longest = Math.max(...records.map((r) => r.end_to_end_ms));
  const origin = sensorMs(records[0]);
  const span = byClock ? Math.max(...records.map((r) => sensorMs(r) + r.end_to_end_ms)) - origin : longest;
  const plot = { x: LEFT, width: width - LEFT - RIGHT, bottom: height - AXIS };
  // Round, so that the scale rests while the values dance.
  plot.most = byClock ? span : nice(Math.max(span, 5));
  const x = (value) => plot.x + (value / plot.most) * plot.width;
  axis(brush, plot, x);
  shown.forEach((row, n) => {
    const y = n * ROW + ROW / 2;
    if (!row.record) return note(brush, row, y, plot);
    const { record } = row;
    if (record === hovered || isHeld(record)) {
      brush.fillStyle = colour("well");
      brush.fillRect(0, y - ROW / 2, width, ROW);
    }
    const begin = byClock ? sensorMs(record) - origin : 0;
    bars(brush, record, (value) => x(begin + value), y);
    labels(brush, record, y, x(begin + record.end_to_end_ms), byClock ? null : width);
  });
}

function axis(brush, plot, x) {
  brush.textAlign = "center";
  for (const tick of ticks(plot.most, plot.width < 300 ? 3 : 6)) {
    brush.fillStyle = colour("line");
    brush.fillRect(Math.round(x(tick)), 0, 1, plot.bottom);
    brush.fillStyle = colour("quiet");
    brush.fillText(`${+tick.toFixed(2)}${tick ? "" : " ms"}`, x(tick), plot.bottom + 12);
  }
}

function bars(brush, record, x, y) {
  for (const { step, start: from, ms: length } of spans(record)) {
    const [left, right] = [x(from), x(from + length)];
    // Shorter than a pixel: still there.
    brush.fillStyle = colour(step);
    brush.fillRect(left, y - BAR / 2, Math.max(right - left - (right - left > 3 ? 0.75 : 0), 0.75), BAR);
  }
}

function labels(brush, record, y, end, width) {
  const strong = record === hovered || isHeld(record);
  brush.fillStyle = colour(strong ? "ink" : "quiet");
  brush.textAlign = "right";
  brush.fillText(`${strong ? "▸ " : ""}${record.frame.seq}`, LEFT - 8, y);
  brush.textAlign = width ? "right" : "left";
  brush.fillText(ms(record.end_to_end_ms), width ? width - 4 : end + 5, y);
}

function note(brush, { note: text, skipped }, y, plot) {
  const mood = skipped ? "quiet" : "bad";
  brush.textAlign = "left";
  brush.fillStyle = colour(mood);
  brush.fillRect(plot.x - 4, Math.round(y) - 0.5, 12, 1.5);
  brush.fillText(text, plot.x + 14, y);
}

/** The frame in question and the last second, step by step. */
function table() {
  const record = hovered ?? held;
  const all = metrics(stats);
  const frame = record ?? last;
  const steps = [...STEPS, ...TOTALS].filter((step) => all[step] || (frame && spent(frame, step) !== undefined));
  put($("frame-head"), record ? words.frameNumber(count(record.frame.seq)) : words.newest);
  rebuild($("steps"), steps.join(), () => steps.map((step) =>
    element("tr", { className: TOTALS.includes(step) ? "total" : "" }, element("th", { scope: "row" }, element("i", { className: `swatch ${step}` }), words.step[step]),
      element("td"), element("td"), element("td"))));
  steps.forEach((step, n) => {
    const { cells } = $("steps").rows[n];
    put(cells[1], ms(frame ? spent(frame, step) : null));
    put(cells[2], ms(all[step]?.p50_ms));
    put(cells[3], ms(all[step]?.p99_ms));
  });
  const total = all.end_to_end;
  mark($("waterfall"), "aria-label", words.waterfallSays(record ? count(record.frame.seq) : null, ms(total?.p50_ms), ms(total?.p99_ms)));
}
