// The picture with its boxes and labels, drawn on one canvas.
import { $ } from "./dom.js";

const COLOURS = ["#ffc43d", "#56ccf2", "#ff8a65", "#81d47a", "#d6a0ff", "#40e0be", "#ff96be", "#bed646", "#8caaff", "#f0be96"];
const canvas = $("picture");
const brush = canvas.getContext("2d");
let bitmap = null;
let detections = [];
let boxes = true;

export const percent = (score) => Math.round((score ?? 0) * 100);

/** Decodes a JPEG; null for a damaged one. */
export async function decode(body) {
  try {
    return await createImageBitmap(new Blob([body], { type: "image/jpeg" }));
  } catch {
    return null;
  }
}

/** Shows a picture with its detections; takes the bitmap over. */
export function show(next, found) {
  bitmap?.close();
  bitmap = next;
  detections = found;
  redraw();
}

export function setBoxes(on) {
  boxes = on;
  redraw();
}

export function redraw() {
  if (!bitmap) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  brush.drawImage(bitmap, 0, 0);
  if (boxes) detections.forEach(drawBox);
}

/** What the canvas shows, as a JPEG. */
export const save = () => new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));

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
