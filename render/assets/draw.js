// Canvases that are sharp, follow their size and the colour scheme, and are painted only while they can be seen.

const scheme = matchMedia("(prefers-color-scheme: dark)");
const motion = matchMedia("(prefers-reduced-motion: reduce)");
const surfaces = new Set();
let palette = null;

/** Whether the user asked for calm. */
export const calm = () => motion.matches;

/** A colour of the style sheet: colour("ink") is --ink. */
export function colour(name) {
  palette ??= new Map();
  if (!palette.has(name)) {
    palette.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "#888");
  }
  return palette.get(name);
}

scheme.addEventListener("change", () => {
  palette = null;
  for (const surface of surfaces) surface.request();
});

export const FONT = '11px system-ui, "Noto Sans", "Noto Sans CJK KR", sans-serif';

/** Calls paint(brush, width, height) in CSS pixels, at most once a frame, when asked and seen. */
export class Surface {
  #brush;
  #due = false;
  #seen = false;

  constructor(canvas, paint) {
    this.canvas = canvas;
    this.paint = paint;
    this.#brush = canvas.getContext("2d");
    surfaces.add(this);
    new ResizeObserver(() => this.request()).observe(canvas);
    new IntersectionObserver(([entry]) => {
      this.#seen = entry.isIntersecting;
      if (this.#seen) this.request();
    }).observe(canvas);
  }

  request() {
    if (this.#due || !this.#seen) return;
    this.#due = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#due = false;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (!w || !h) return;
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.#brush.setTransform(scale, 0, 0, scale, 0, 0);
    this.#brush.clearRect(0, 0, width, height);
    this.#brush.font = FONT;
    this.#brush.textBaseline = "middle";
    this.paint(this.#brush, width, height);
  }

  /** Calls moved(x, y) while a pointer is over the canvas and moved(null) when it leaves; picked(x, y) on a press. */
  pointer(moved, picked = () => {}) {
    const at = (event) => [event.offsetX, event.offsetY];
    // It enters without a move where the canvas grows under it.
    for (const kind of ["pointerenter", "pointermove"]) this.canvas.addEventListener(kind, (event) => moved(...at(event)));
    this.canvas.addEventListener("pointerleave", () => moved(null));
    this.canvas.addEventListener("click", (event) => picked(...at(event)));
  }
}

const SCALES = [1, 1.5, 2, 3, 4, 5, 7.5, 10];
const STEPS = [1, 2, 5, 10];

/** The round number at or above `value`. */
export function nice(value, numbers = SCALES) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return numbers.map((n) => n * power).find((n) => n >= value * 0.9999);
}

/** Ticks from 0 to `most`, about `count` of them. */
export function ticks(most, count) {
  const step = nice(most / count, STEPS);
  return Array.from({ length: Math.floor(most / step + 1e-6) + 1 }, (_, n) => n * step);
}
