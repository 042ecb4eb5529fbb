// Minutes at a glance: frames per second, latency, and frames not used, from the history that the server keeps. A line
// breaks where a stage said nothing. Pointer, finger or arrow keys move a cursor whose numbers stand above the chart.
import { $, element, mark, put, rebuild } from "./dom.js";
import { Surface, colour, nice, ticks } from "./draw.js";
import { REASONS, STAGES, TO_DETECTIONS } from "./steps.js";
import { ago, count, ms, words } from "./words.js";

const LEFT = 38;
const RIGHT = 8;
const TOP = 8;
const AXIS = 20;
/** Reports come every second: after this long without one the line breaks. */
const BREAK_MS = 2500;
const BARS = 60;
const DASHES = { capture: [], infer: [7, 3], render: [2, 3] };

const tracks = Object.fromEntries(STAGES.map((stage) => [stage, []]));
let nowMs = 0;
let windowMs = 5 * 60_000;
const charts = [];

/** Takes an answer of /history.json; null: the server does not answer, and what is shown grows old. */
export function add(history) {
  if (!history) return;
  nowMs = history.now_ms;
  for (const stage of STAGES) {
    const columns = history[stage];
    columns.t_ms.forEach((t, n) => tracks[stage].push(point(columns, t, n)));
    // A new render counts its clock on, but has forgotten; what was kept here stays.
    tracks[stage].splice(0, Math.max(0, tracks[stage].length - history.kept_s));
  }
  refresh();
}

function point(columns, t, n) {
  const drops = Object.fromEntries(REASONS.map(([reason]) => [reason, columns[reason][n]]));
  const steps = Object.fromEntries(Object.entries(columns.steps_us).map(([step, values]) => [step, values[n]]));
  const total = columns.end_to_end_us?.[n];
  return { t, restarted: columns.restarted[n], fps: columns.fps[n], drops, steps, total };
}

export function setWindow(minutes) {
  windowMs = minutes * 60_000;
  refresh();
}

function refresh() {
  for (const chart of charts) chart.refresh();
}

/** Frames not used in the last `span` milliseconds: [[reason, count]]. */
export function dropsSince(span) {
  return REASONS.map(([reason, stage]) => [
    reason,
    tracks[stage].filter((p) => p.t > nowMs - span).reduce((sum, p) => sum + p.drops[reason], 0),
  ]);
}

/** Whether these stages reported all through the last `span` milliseconds, so that nothing is missing in the sums. */
export function covers(span, stages) {
  const from = nowMs - span;
  return stages.every((stage) => {
    const [run] = [...runs(tracks[stage])].slice(-1);
    return run && run[0].t <= from + BREAK_MS && nowMs - run.at(-1).t <= BREAK_MS;
  });
}

export function start() {
  charts.push(new Chart("fps", paintFps, sayFps), new Chart("latency", paintLatency, sayLatency), new Chart("drops", paintDrops, sayDrops));
}

class Chart {
  constructor(name, paint, say) {
    this.cursor = null; // milliseconds before now
    this.frame = $(`${name}-chart`);
    this.readout = $(`${name}-now`);
    this.paintInside = paint;
    this.say = say;
    this.surface = new Surface(this.frame.querySelector("canvas"), (...all) => this.paint(...all));
    this.surface.pointer((x) => this.move(x === null ? null : this.agoAt(x)));
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("blur", () => this.move(null));
  }

  agoAt(x) {
    const width = this.surface.canvas.clientWidth - LEFT - RIGHT;
    return Math.min(windowMs, Math.max(0, windowMs * (1 - (x - LEFT) / width)));
  }

  key(event) {
    const step = windowMs / BARS;
    const now = this.cursor ?? 0;
    const to = { ArrowLeft: now + step, ArrowRight: now - step, Home: windowMs, End: 0, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows mean this chart, not the held frame
    this.move(to === null ? null : Math.min(windowMs, Math.max(0, to)));
  }

  move(cursor) {
    this.cursor = cursor;
    this.refresh();
  }

  refresh() {
    this.surface.request();
    const t = nowMs - (this.cursor ?? 0);
    const items = this.say(t, this.cursor === null);
    rebuild(this.readout, items.map(({ name }) => name).join(), () => items.map(({ swatch, name }) =>
      element("span", {}, ...(swatch ? [element("i", { className: `swatch ${swatch}` })] : []), `${name} `, element("b"))));
    this.readout.querySelectorAll("b").forEach((node, n) => put(node, items[n].value));
    mark(this.frame, "aria-valuemax", Math.round(windowMs / 1000));
    mark(this.frame, "aria-valuenow", Math.round((windowMs - (this.cursor ?? 0)) / 1000));
    const when = this.cursor === null ? words.now : ago(this.cursor);
    mark(this.frame, "aria-valuetext", [when, ...items.map(({ name, value }) => `${name} ${value}`)].join(", "));
  }

  paint(brush, width, height) {
    const plot = { left: LEFT, top: TOP, width: width - LEFT - RIGHT, height: height - TOP - AXIS, brush };
    plot.bottom = plot.top + plot.height;
    plot.x = (t) => plot.left + plot.width * (1 - (nowMs - t) / windowMs);
    times(plot);
    brush.save();
    this.paintInside(plot);
    brush.restore();
    if (this.cursor === null) return;
    brush.fillStyle = colour("ink");
    brush.fillRect(Math.round(plot.x(nowMs - this.cursor)), plot.top, 1, plot.height);
  }
}

function times({ brush, left, width, bottom }) {
  brush.fillStyle = colour("quiet");
  const minutes = windowMs / 60_000;
  const marks = [[0, "left"], [0.5, "center"], [1, "right"]];
  for (const [at, align] of marks) {
    const back = minutes * (1 - at);
    brush.textAlign = align;
    brush.fillText(back ? words.minutesAgo(back) : words.now, left + width * at, bottom + 12);
  }
}

/** Grid and numbers of the vertical axis; gives the function from value to y. */
function scale({ brush, left, width, top, height, bottom }, most) {
  const limit = nice(Math.max(most, 1e-3));
  const y = (value) => bottom - (Math.min(value, limit) / limit) * height;
  brush.textAlign = "right";
  for (const tick of ticks(limit, height > 120 ? 5 : 3)) {
    brush.fillStyle = colour("line");
    brush.fillRect(left, Math.round(y(tick)), width, 1);
    brush.fillStyle = colour("quiet");
    brush.fillText(String(+tick.toFixed(3)), left - 6, Math.max(y(tick), top + 2));
  }
  brush.beginPath();
  brush.rect(left, top - 2, width, height + 4);
  brush.clip();
  return y;
}

const visible = (stage) => {
  const points = tracks[stage];
  const first = points.findIndex((p) => p.t >= nowMs - windowMs);
  return first < 0 ? [] : points.slice(Math.max(0, first - 1)); // one before, so that lines reach the edge
};

/** Runs of points without a break between them. */
function* runs(points) {
  let run = [];
  for (const p of points) {
    if (run.length && p.t - run.at(-1).t > BREAK_MS) {
      yield run;
      run = [];
    }
    run.push(p);
  }
  if (run.length) yield run;
}

function line({ brush, x }, points, y, stroke, dash = []) {
  Object.assign(brush, { strokeStyle: stroke, fillStyle: stroke, lineWidth: 1.75, lineJoin: "round" });
  brush.setLineDash(dash);
  for (const run of runs(points)) {
    brush.beginPath();
    run.forEach((p, n) => brush[n ? "lineTo" : "moveTo"](x(p.t), y(p)));
    brush.stroke();
    if (run.length === 1) brush.fillRect(x(run[0].t) - 1.5, y(run[0]) - 1.5, 3, 3);
  }
  brush.setLineDash([]);
}

function restarts({ brush, x, top, height }) {
  brush.fillStyle = colour("bad");
  for (const stage of STAGES) {
    for (const p of visible(stage)) if (p.restarted) brush.fillRect(Math.round(x(p.t)), top, 1.5, height);
  }
}

const largest = (values, least) => values.reduce((a, b) => Math.max(a, b ?? 0), least);

function paintFps(plot) {
  const most = largest(STAGES.flatMap((stage) => visible(stage).map((p) => p.fps)), 1);
  const scaled = scale(plot, most * 1.05);
  restarts(plot);
  for (const stage of STAGES) line(plot, visible(stage), (p) => scaled(p.fps), colour(stage), DASHES[stage]);
}

function at(stage, t) {
  const p = tracks[stage].findLast((q) => q.t <= t + 500);
  return p && t - p.t < BREAK_MS ? p : undefined;
}

const sayFps = (t) => STAGES.map((stage) => ({ swatch: stage, name: words[stage], value: at(stage, t)?.fps.toFixed(1) ?? "–" }));

/** A step's median at an infer point; those of capture come from its own report of that second. */
function median(step, p) {
  return (p.steps[step] ?? at("capture", p.t)?.steps[step] ?? 0) / 1e3;
}

function paintLatency(plot) {
  const points = visible("infer").filter((p) => p.total);
  const scaled = scale(plot, largest(points.map((p) => p.total[2] / 1e3), 1));
  restarts(plot);
  const { brush, x, bottom } = plot;
  for (const run of runs(points)) {
    const sums = run.map(() => 0);
    let lower = run.map(() => bottom);
    for (const step of TO_DETECTIONS) {
      const upper = run.map((p, n) => scaled((sums[n] += median(step, p))));
      brush.fillStyle = colour(step);
      brush.beginPath();
      run.forEach((p, n) => brush[n ? "lineTo" : "moveTo"](x(p.t), upper[n]));
      for (let n = run.length - 1; n >= 0; n--) brush.lineTo(x(run[n].t), lower[n]);
      brush.fill();
      lower = upper;
    }
  }
  line(plot, points, (p) => scaled(p.total[2] / 1e3), colour("ink"));
}

function sayLatency(t) {
  const total = at("infer", t)?.total;
  const value = (n) => (total ? `${ms(total[n] / 1e3)}` : "–");
  return [{ name: "p50", value: value(0) }, { name: "p90", value: value(1) }, { swatch: "line-ink", name: "p99", value: value(2) }, { name: words.max, value: `${value(3)} ms` }];
}

/** Sums per bar: [{reason: count}], the oldest first. */
function bars() {
  const span = windowMs / BARS;
  const sums = Array.from({ length: BARS }, () => ({}));
  // Bars stand on fixed times, so that they wander and do not flicker.
  const end = Math.ceil(nowMs / span) * span;
  for (const [reason, stage] of REASONS) {
    for (const p of visible(stage)) {
      const n = BARS - 1 - Math.floor((end - p.t) / span);
      if (n >= 0 && p.drops[reason]) sums[n][reason] = (sums[n][reason] ?? 0) + p.drops[reason];
    }
  }
  return { sums, end, span };
}

function paintDrops(plot) {
  const { sums, end, span } = bars();
  const { brush, x, width } = plot;
  const most = largest(sums.map((s) => Object.values(s).reduce((a, b) => a + b, 0)), 0);
  const scaled = scale(plot, Math.max(most, 5));
  restarts(plot);
  sums.forEach((sum, n) => {
    const from = x(end - (BARS - n) * span);
    let below = 0;
    for (const [reason] of REASONS) {
      if (!sum[reason]) continue;
      const y = scaled(below + sum[reason]);
      brush.fillStyle = colour(reason);
      brush.fillRect(from + 0.5, y, Math.max(width / BARS - 1, 1), scaled(below) - y);
      below += sum[reason];
    }
  });
}

function sayDrops(t, whole) {
  const { sums, end, span } = bars();
  const totals = dropsSince(windowMs);
  const here = sums[Math.min(BARS - 1, Math.max(0, BARS - 1 - Math.floor((end - t) / span)))];
  const said = totals.filter(([, total]) => total);
  if (!said.length) return [{ name: words.nothingDropped, value: "" }];
  return said.map(([reason, total]) => ({ swatch: reason, name: words.reason[reason], value: count(whole ? total : here?.[reason] ?? 0) }));
}
