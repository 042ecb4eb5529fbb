// What the page may claim, judged by the age of what it shows. Pure: from facts to a name, so that it can be tested.

/** Up to this age data is live; a slow source or model is allowed more, as the server says (`allowed_ms` in its health). */
const ALLOWED_MS = 2000;
/** Before the first answer, this long counts as connecting rather than as lost. */
export const FIRST_MS = 3000;

/**
 * The source's own state (`capture` in /healthz) counts where pictures come and yet are not of now.
 *
 * facts: now, startedAt, paused, lostAt (null: the server answers), streaming, shownAt (0: no picture yet),
 * dataAgeMs (age of the shown picture's data, null: unknown), recordAt (last picture with a record), noSignal, synthetic, source,
 * frameAllowedMs, recordAllowedMs (undefined before the server's first answer).
 *
 * Gives {name, covered, since}: covered pictures must not be taken for live ones; since: performance.now() of the last
 * time that all was well.
 */
export function judge(f) {
  const { frameAllowedMs = ALLOWED_MS, recordAllowedMs = ALLOWED_MS } = f;
  if (f.lostAt !== null && (f.shownAt || f.now - f.startedAt > FIRST_MS)) {
    return { name: "lost", covered: !f.paused, since: f.shownAt || f.lostAt };
  }
  if (f.paused) return { name: "paused", covered: false, since: f.shownAt };
  if (!f.shownAt) return { name: "connecting", covered: true, since: f.startedAt };
  if (f.noSignal) return { name: "noSignal", covered: true, since: f.shownAt };
  const stale = { name: "stale", covered: true, since: f.shownAt };
  if (f.now - f.shownAt > frameAllowedMs) return stale;
  if (f.source === "repeating") return { name: "repeating", covered: true, since: f.shownAt };
  const clockFrozen = f.source === "clock_frozen";
  if (f.dataAgeMs > Math.max(frameAllowedMs, recordAllowedMs) && !clockFrozen) return stale;
  if (!f.streaming) return { name: "connecting", covered: true, since: f.shownAt };
  // Said before the server calls infer stale: the boxes are gone already.
  if (f.now - f.recordAt > recordAllowedMs / 2) return { name: "noDetections", covered: false, since: f.recordAt };
  if (clockFrozen) return { name: "clockFrozen", covered: false, since: f.shownAt };
  return { name: f.synthetic ? "synthetic" : "live", covered: false, since: f.now };
}
