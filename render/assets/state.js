// What the page may claim, judged by the age of what it shows. Pure: from facts to a name, so that it can be tested.

/** A picture older than this is not live. */
export const STALE_MS = 2000;
/** Pictures without records for this long: infer is not at work. */
export const NO_RECORD_MS = 1000;
/** Before the first answer, this long counts as connecting rather than as lost. */
export const FIRST_MS = 3000;

/**
 * The source's own state (`capture` in /healthz) counts where pictures come and yet are not of now.
 *
 * facts: now, startedAt, paused, lostAt (null: the server answers), streaming, shownAt (0: no picture yet),
 * dataAgeMs (age of the shown picture's data, null: unknown), recordAt (last picture with a record), noSignal, synthetic, source.
 *
 * Gives {name, covered, since}: covered pictures must not be taken for live ones; since: performance.now() of the last
 * time that all was well.
 */
export function judge(f) {
  if (f.lostAt !== null && (f.shownAt || f.now - f.startedAt > FIRST_MS)) {
    return { name: "lost", covered: !f.paused, since: f.shownAt || f.lostAt };
  }
  if (f.paused) return { name: "paused", covered: false, since: f.shownAt };
  if (!f.shownAt) return { name: "connecting", covered: true, since: f.startedAt };
  if (f.noSignal) return { name: "noSignal", covered: true, since: f.shownAt };
  const stale = { name: "stale", covered: true, since: f.shownAt };
  if (f.now - f.shownAt > STALE_MS) return stale;
  if (f.source === "repeating") return { name: "repeating", covered: true, since: f.shownAt };
  const clockFrozen = f.source === "clock_frozen";
  if (f.dataAgeMs > STALE_MS && !clockFrozen) return stale;
  if (!f.streaming) return { name: "connecting", covered: true, since: f.shownAt };
  if (f.now - f.recordAt > NO_RECORD_MS) return { name: "noDetections", covered: false, since: f.recordAt };
  if (clockFrozen) return { name: "clockFrozen", covered: false, since: f.shownAt };
  return { name: f.synthetic ? "synthetic" : "live", covered: false, since: f.now };
}
