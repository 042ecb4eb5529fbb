// The page: pictures with their records from /stream.mjpg, the stages' numbers from /stats.json.
import { parts } from "./parts.js";
import { words, korean, translate } from "./words.js";

const $ = (id) => document.getElementById(id);
const canvas = $("picture");
const brush = canvas.getContext("2d");
const COLOURS = ["#ffc43d", "#56ccf2", "#ff8a65", "#81d47a", "#d6a0ff", "#40e0be", "#ff96be", "#bed646", "#8caaff", "#f0be96"];
const STEPS = Object.keys(words.step);
const STALE_MS = 2000;

// The picture on the canvas, and what the tests look at.
let shown = null; // {bitmap, record, frame}
let shownAt = 0;
let chipsAt = 0;
let connected = false;
let paused = false;
let boxes = true;
const probe = (window.__hanja = { record: null, frame: null, pictures: 0, stats: null, boxes: true, paused: false });

// ---- pictures

async function follow() {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      const answer = await fetch("/stream.mjpg", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      connected = true;
      for await (const part of parts(answer.body)) {
        wait = 250;
        if (!paused) await take(part);
      }
    } catch {
      // Said by the badge; what matters is to try again.
    }
    connected = false;
    state();
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function take({ headers, body }) {
  const json = (name) => (headers.has(name) ? JSON.parse(headers.get(name)) : null);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([body], { type: "image/jpeg" }));
  } catch {
    return; // a damaged picture from the camera: the next one comes
  }
  if (paused) return bitmap.close();
  shown?.bitmap.close();
  shown = { bitmap, record: json("x-record"), frame: json("x-frame") };
  shownAt = performance.now();
  draw();
  probe.record = shown.record;
  probe.frame = shown.frame;
  if (probe.pictures++ === 0 && probe.stats) numbers(probe.stats); // now that the size is known
  state();
}

function draw() {
  if (!shown) return;
  const { bitmap, record } = shown;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  brush.drawImage(bitmap, 0, 0);
  if (boxes && record) for (const d of record.detections) drawBox(d);
  // Five times a second: a score that changes with every picture cannot be read.
  if (performance.now() - chipsAt < 200) return;
  chipsAt = performance.now();
  chips(record?.detections ?? []);
}

function drawBox({ class: n, label, score, box: [x1, y1, x2, y2] }) {
  // In picture pixels, but as large on the screen whatever the picture's size.
  const unit = Math.max(canvas.width / (canvas.clientWidth || canvas.width), 0.5);
  const size = 17 * unit;
  brush.strokeStyle = brush.fillStyle = COLOURS[n % COLOURS.length];
  brush.lineWidth = 2.5 * unit;
  brush.lineJoin = "round";
  brush.strokeRect(x1, y1, x2 - x1, y2 - y1);
  brush.font = `600 ${size}px system-ui, "Noto Sans CJK KR", sans-serif`;
  const text = `${label} ${percent(score)}`;
  const width = brush.measureText(text).width + 10 * unit;
  const height = size * 1.4;
  const left = Math.max(0, Math.min(x1 - brush.lineWidth / 2, canvas.width - width));
  // Above the box, else below it, else inside: only then does it cover the numeral.
  const below = y2 + height <= canvas.height ? y2 : y1;
  const top = y1 >= height ? y1 - height : below;
  brush.fillRect(left, top, width, height);
  brush.fillStyle = "#101216";
  brush.textBaseline = "middle";
  brush.fillText(text, left + 5 * unit, top + height * 0.54);
}

const percent = (score) => Math.round((score ?? 0) * 100);

// ---- words and numbers

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Rebuilds the children of `node` only when `key` changes: calm for eyes and screen readers.
function rebuild(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make());
}

function element(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

function chips(detections) {
  // Left to right, so that a chip stays where its numeral is.
  const sorted = [...detections].sort((a, b) => a.box[0] - b.box[0]);
  const key = sorted.map((d) => `${d.class}:${percent(d.score)}`).join();
  rebuild($("chips"), key || "none", () =>
    sorted.length
      ? sorted.map((d) => element("li", {}, element("b", { className: `k${d.class % 10}`, textContent: d.label, lang: "zh-Hant" }), `${percent(d.score)} %`))
      : [element("li", { className: "none", textContent: words.none })]);
}

function verdict() {
  const age = performance.now() - shownAt;
  if (paused) return ["paused", null];
  if (!connected) return ["disconnected", "hintDisconnected"];
  if (!shown) return ["connecting", "waitPicture"];
  if (age > STALE_MS) return ["stale", "hintStale"];
  if (shown.frame?.no_signal) return ["noSignal", "hintNoSignal"];
  const name = shown.frame?.synthetic ? "synthetic" : "live";
  return [name, shown.record ? null : "hintNoDetections"];
}

function state() {
  const [name, hint] = verdict();
  if ($("state").dataset.state !== name) {
    $("state").dataset.state = name;
    put($("state-text"), words[name]);
  }
  $("hint").hidden = !hint;
  if (hint) put($("hint"), words[hint]);
}

function ms(value) {
  if (value === undefined) return "–";
  if (value < 0.01) return "<0.01";
  return value.toFixed(value < 10 ? 2 : 1);
}

function stages(stats) {
  $("stages").replaceChildren(...["capture", "infer", "render"].map((name) => {
    const s = stats[name];
    const fresh = s && s.age_s < 3;
    const value = fresh ? [s.fps.toFixed(1), " ", element("small", { textContent: words.fps })] : [words.silent];
    return element("div", { className: fresh ? "" : "silent" }, element("dt", { textContent: words[name] }), element("dd", {}, ...value));
  }));
}

function latency(stats) {
  const all = { ...stats.capture?.metrics, ...stats.infer?.metrics };
  const rows = STEPS.filter((s) => all[s]);
  const total = all.end_to_end;
  put($("e2e"), total ? `${ms(total.p50_ms)} / ${ms(total.p99_ms)} ms` : "–");
  const sum = rows.reduce((a, s) => a + all[s].p50_ms, 0) || 1;
  $("bar").replaceChildren(...rows.map((s) => {
    const part = element("i", { className: `s${STEPS.indexOf(s)}`, title: `${words.step[s]} ${ms(all[s].p50_ms)} ms` });
    part.style.width = `${(100 * all[s].p50_ms) / sum}%`;
    return part;
  }));
  $("bar").setAttribute("aria-label", rows.map((s) => `${words.step[s]} ${ms(all[s].p50_ms)} ms`).join(", "));
  $("steps").replaceChildren(...rows.map((s) =>
    element("tr", {},
      element("td", {}, element("i", { className: `s${STEPS.indexOf(s)}` }), words.step[s]),
      element("td", { textContent: ms(all[s].p50_ms) }), element("td", { textContent: ms(all[s].p99_ms) }))));
}

function pairs(node, rows) {
  node.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
}

function numbers(stats) {
  stages(stats);
  latency(stats);
  const count = (n) => (n ?? 0).toLocaleString(korean ? "ko" : "en");
  const c = stats.capture?.counters;
  const i = stats.infer?.counters;
  pairs($("counters"), [
    [words.lost, count(c?.lost)], [words.dropped, count(c?.dropped)], [words.busy, count(i?.skipped_busy)],
    [words.undecodable, count(i?.skipped_undecodable)], [words.nosignal, count(i?.skipped_no_signal)],
  ]);
  const frame = shown?.frame;
  const kib = ["capture", "infer", "render"].reduce((a, s) => a + (stats[s]?.rss_kib ?? 0), 0);
  pairs($("about"), [
    [words.source, stats.capture?.what || "–"],
    [words.picture, frame ? `${frame.width}×${frame.height} ${frame.format ?? ""}` : "–"],
    [words.model, stats.infer?.what || "–"],
    [words.backend, stats.infer?.backend ?? "–"],
    [words.memory, `${(kib / 1024).toFixed(0)} MiB`],
  ]);
}

async function poll() {
  for (;;) {
    try {
      const answer = await fetch("/stats.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      numbers((probe.stats = await answer.json()));
    } catch {
      stages({}); // old numbers would look like a running pipeline
    }
    state();
    await new Promise((done) => setTimeout(done, 1000));
  }
}

// ---- controls

function setPaused(on) {
  paused = probe.paused = on;
  $("pause").setAttribute("aria-pressed", String(on));
  put($("pause-text"), on ? words.resume : words.pause);
  if (on && shown) chips(shown.record?.detections ?? []);
  state();
}

function setBoxes(on) {
  boxes = probe.boxes = on;
  $("boxes").setAttribute("aria-pressed", String(on));
  draw();
}

function fullscreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen();
  change.catch(() => {}); // not allowed here: nothing to be done
}

$("pause").addEventListener("click", () => setPaused(!paused));
$("boxes").addEventListener("click", () => setBoxes(!boxes));
$("full").addEventListener("click", fullscreen);
const KEYS = { " ": () => setPaused(!paused), b: () => setBoxes(!boxes), f: fullscreen, s: () => $("snap").click() };
document.addEventListener("keydown", (event) => {
  // A focused button takes the space bar itself.
  const busy = event.key === " " && event.target.closest("button, a");
  const action = KEYS[event.key.toLowerCase()];
  if (!action || busy || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  event.preventDefault();
  action();
});

translate();
chips([]);
follow();
poll();
