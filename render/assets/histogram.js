// How long each step takes, as a distribution over the last minute of records: a row for each step on one logarithmic
// axis, so that microseconds and tens of milliseconds can be compared, with marks at p50 and p99.
import { $, mark, put } from "./dom.js";
import { Surface, colour } from "./draw.js";
import { STEPS, TOTALS, sensorMs, spent } from "./steps.js";
import { count, ms, words } from "./words.js";

const SPAN_MS = 60_000;
/** A minute at 120 frames a second. */
const MOST = 7200;
const PER_DECADE = 10;
const LOW = -2; // 10 microseconds
const HIGH = 3; // a second
const BINS = (HIGH - LOW) * PER_DECADE;
const ROW = 29;
const AXIS = 20;
const LEFT = 84;
const RIGHT = 10;
const ROWS = [...STEPS, ...TOTALS];

let records = [];
let rows = []; // {step, bins, total, p50, p99}
let pointed = null; // {row, bin}
let surface;

export function start() {
  surface = new Surface($("histogram"), paint);
  surface.pointer((x, y) => {
    const width = surface.canvas.clientWidth - LEFT - RIGHT;
    const bin = Math.floor(((x - LEFT) / width) * BINS);
    pointed = x === null || bin < 0 || bin >= BINS ? null : { row: Math.floor(y / ROW), bin };
    say();
    surface.request();
  });
}

export function add(record) {
  records.push(record);
  if (records.length > MOST) records = records.slice(-MOST * 0.9);
}

/** Once a second. */
export function refresh() {
  const newest = records.length ? sensorMs(records.at(-1)) : 0;
  records = records.filter((r) => newest - sensorMs(r) < SPAN_MS);
  rows = ROWS.map(summary).filter((row) => row.total);
  surface.canvas.style.height = `${Math.max(rows.length, 1) * ROW + AXIS}px`;
  mark(surface.canvas, "aria-label", rows.map((r) => `${words.step[r.step]}: p50 ${ms(r.p50)}, p99 ${ms(r.p99)} ms`).join("; ") || words.noRecords);
  say();
  surface.request();
}

function summary(step) {
  const values = [];
  for (const r of records) {
    const value = spent(r, step);
    if (value !== undefined) values.push(value);
  }
  values.sort((a, b) => a - b);
  const bins = new Array(BINS).fill(0);
  for (const value of values) bins[Math.min(BINS - 1, Math.max(0, Math.floor((Math.log10(Math.max(value, 1e-6)) - LOW) * PER_DECADE)))]++;
  const at = (q) => values[Math.min(values.length - 1, Math.floor(q * values.length))];
  return { step, bins, total: values.length, p50: at(0.5), p99: at(0.99) };
}

function paint(brush, width) {
  const plot = width - LEFT - RIGHT;
  const bottom = rows.length * ROW;
  const x = (bin) => LEFT + (bin / BINS) * plot;
  brush.textAlign = "center";
  for (let power = LOW; power <= HIGH; power++) {
    const left = x((power - LOW) * PER_DECADE);
    brush.fillStyle = colour("line");
    brush.fillRect(Math.round(left), 0, 1, bottom);
    brush.fillStyle = colour("quiet");
    brush.textAlign = power === HIGH ? "right" : "center";
    brush.fillText(power === HIGH ? "1 s" : `${10 ** power}${power === LOW ? " ms" : ""}`, left + (power === HIGH ? 6 : 0), bottom + 11);
  }
  rows.forEach((row, n) => {
    const base = (n + 1) * ROW - 3;
    const most = Math.max(...row.bins);
    row.bins.forEach((hits, bin) => {
      if (!hits) return;
      const height = Math.max(1.5, (hits / most) * (ROW - 7));
      brush.fillStyle = colour(row.step);
      brush.fillRect(x(bin), base - height, plot / BINS - 0.5, height);
      if (pointed?.row !== n || pointed.bin !== bin) return;
      brush.strokeStyle = colour("ink");
      brush.strokeRect(x(bin) - 0.5, base - height - 0.5, plot / BINS + 0.5, height + 1);
    });
    brush.fillStyle = colour("line");
    brush.fillRect(LEFT, base, plot, 1);
    brush.fillStyle = colour("ink");
    for (const value of [row.p50, row.p99]) {
      const at = Math.min(BINS, Math.max(0, (Math.log10(Math.max(value, 1e-6)) - LOW) * PER_DECADE));
      brush.fillRect(x(at) - 0.75, base - 4, 1.5, 6);
    }
    brush.textAlign = "right";
    brush.fillText(words.step[row.step], LEFT - 8, base - 8);
  });
}

function say() {
  const row = pointed && rows[pointed.row];
  if (!row) return put($("histogram-now"), words.histogramOver(count(records.length)));
  const edge = (bin) => ms(10 ** (bin / PER_DECADE + LOW));
  const hits = row.bins[pointed.bin];
  const share = ((100 * hits) / row.total).toFixed(hits * 100 < row.total * 10 ? 1 : 0);
  put($("histogram-now"), words.histogramBin(words.step[row.step], edge(pointed.bin), edge(pointed.bin + 1), share, count(hits), count(row.total)));
}
