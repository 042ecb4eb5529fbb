// Chooses the language of the page (?lang=ko or ?lang=en, else the browser's) and writes numbers in it.
import { ENGLISH } from "./words.en.js";
import { KOREAN } from "./words.ko.js";

const wanted = new URLSearchParams(location.search).get("lang") ?? navigator.language;
export const korean = /^ko\b/i.test(wanted);
export const words = korean ? KOREAN : ENGLISH;

/** Puts the words where the page asks for them, and says which language they are in. */
export function translate(more = {}) {
  const all = { ...words, ...more };
  document.documentElement.lang = korean ? "ko" : "en";
  document.title = words.title;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = all[node.dataset.word];
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", all[node.dataset.label]);
}

/** A whole number with separators. */
export const count = (n) => (n ?? 0).toLocaleString(korean ? "ko" : "en");

/** Milliseconds with as many digits as mean something. */
export function ms(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  if (value < 0.01) return value > 0 ? "<0.01" : "0";
  return value.toFixed(value < 10 ? 2 : value < 1000 ? 1 : 0);
}

/** How long ago, for people. */
export function ago(milliseconds) {
  const s = Math.max(0, milliseconds) / 1000;
  if (s < 10) return words.seconds(s.toFixed(1));
  if (s < 120) return words.seconds(s.toFixed(0));
  if (s < 7200) return words.minutes((s / 60).toFixed(0));
  return words.hours((s / 3600).toFixed(0));
}
