// Brings together what comes by two ways: the record of a frame (/detections) and the time at which its picture left for
// this page (/stream.mjpg), which closes the frame's timeline. Either may come first.
import { frameKey } from "./steps.js";

/** Pictures are at most a few records behind. */
const MOST = 64;
const records = new Map();
const early = new Map();

function remember(map, key, value) {
  map.set(key, value);
  if (map.size > MOST) map.delete(map.keys().next().value);
}

function complete(record, present) {
  if (record.latency_ms.present !== undefined) return;
  record.latency_ms.present = present;
  record.end_to_end_ms += present;
}

/** A record as it came; completed if its picture was here before. */
export function record(json) {
  const key = frameKey(json.frame);
  if (early.has(key)) complete(json, early.get(key));
  else remember(records, key, json);
}

/** The record that came with a picture, which left the server at `sent` (CLOCK_MONOTONIC nanoseconds). */
export function picture(json, sent) {
  const acquired = json?.times_ns?.render_acquired;
  if (!acquired || !sent) return;
  const key = frameKey(json.frame);
  const present = Math.max(0, Math.round((sent - acquired) / 1e3) / 1e3);
  complete(json, present);
  const known = records.get(key);
  if (known) complete(known, present);
  else remember(early, key, present);
}
