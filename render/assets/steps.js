// The steps of a frame on its way from the sensor to the eye, and what records say of them.

import { STEPS, TO_DETECTIONS, TOTALS } from "./table.js";

export { STEPS, TO_DETECTIONS, TOTALS };

/** Milliseconds of a step or a total in a record; undefined: has not happened. */
export function spent(record, step) {
  const parts = record.latency_ms;
  if (step === "show") return parts.present === undefined ? undefined : record.end_to_end_ms;
  if (step !== "end_to_end") return parts[step];
  return parts.announce === undefined ? undefined : TO_DETECTIONS.reduce((sum, s) => sum + (parts[s] ?? 0), 0);
}

/** Stages in the order of the pipeline. */
export const STAGES = ["capture", "infer", "render"];

/** Why a frame was not used, with the stage that says so. */
export const REASONS = [
  ["lost", "capture"], ["dropped", "capture"], ["skipped_busy", "infer"], ["skipped_undecodable", "infer"],
  ["skipped_no_signal", "infer"], ["missed", "render"],
];

/** The steps of a record as [{step, start, ms}], milliseconds from the sensor. */
export function spans(record) {
  let start = 0;
  return Object.entries(record.latency_ms).map(([step, ms]) => {
    const span = { step, start, ms };
    start += ms;
    return span;
  });
}

/** When the frame left the sensor, milliseconds of the pipeline's clock. */
export const sensorMs = (record) => (record.times_ns.sensor ?? 0) / 1e6;

/** One name for a frame everywhere. */
export const frameKey = (frame) => `${frame.generation}-${frame.seq}`;

/** Latest report of each step over all stages: {step: {p50_ms, p99_ms, ...}}. */
export function metrics(stats) {
  return Object.assign({}, ...STAGES.map((stage) => stats?.[stage]?.metrics));
}
