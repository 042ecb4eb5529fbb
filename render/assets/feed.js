// All that comes from the server: pictures (/stream.mjpg), every record (/detections), numbers once a second
// (/stats.json, /history.json). Nothing is asked for while the page is hidden, and no pictures while it is paused, so a
// forgotten tab costs the pipeline nothing.
import { parts } from "./parts.js";

const ASK_MS = 1000;
/** A server that takes longer to answer is as good as gone. */
const PATIENCE_MS = 2500;
const RETRY_MS = [250, 500, 1000, 2000];

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export class Feed {
  /** The stream of pictures is open. */
  streaming = false;
  /** When the server first failed to answer since it last said anything, performance.now(); null: it answers. */
  lostAt = null;
  #handlers;
  #paused = false;
  #stream = null;
  #events = null;
  #newest = { capture: 0, infer: 0, render: 0 }; // of each stage's history
  #sleepers = new Set();

  /** handlers: picture(part) async, record(json), gap(json), numbers(stats, history), changed(). */
  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener("visibilitychange", () => this.#turn());
  }

  start() {
    this.#follow();
    this.#ask();
    this.#turn();
  }

  set paused(on) {
    this.#paused = on;
    this.#turn();
  }

  #turn() {
    if (document.hidden || this.#paused) this.#stream?.abort();
    if (document.hidden) {
      this.#events?.close();
      this.#events = null;
    } else {
      this.#listen();
    }
    for (const wake of this.#sleepers) wake();
    this.#handlers.changed();
  }

  #heard() {
    this.lostAt = null;
  }

  #failed() {
    this.lostAt ??= performance.now();
    this.#handlers.changed();
  }

  /** Sleeps until the page is hidden, seen, paused or resumed, or for `ms`. */
  async #sleep(ms) {
    let wake;
    const woken = new Promise((done) => { wake = done; });
    this.#sleepers.add(wake);
    await Promise.race(ms ? [woken, wait(ms)] : [woken]);
    this.#sleepers.delete(wake);
  }

  async #follow() {
    for (let failures = 0; ;) {
      if (document.hidden || this.#paused) {
        await this.#sleep();
        continue;
      }
      this.#stream = new AbortController();
      const { signal } = this.#stream;
      try {
        const answer = await fetch("/stream.mjpg", { cache: "no-store", signal });
        if (!answer.ok) throw new Error(answer.statusText);
        this.streaming = true;
        this.#heard();
        this.#handlers.changed();
        for await (const part of parts(answer.body)) {
          failures = 0;
          this.#heard();
          await this.#handlers.picture(part);
        }
      } catch {
        // Said by the state; what matters is to try again.
      }
      this.streaming = false;
      if (signal.aborted) continue;
      this.#failed();
      await this.#sleep(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
    }
  }

  #listen() {
    // It comes back by itself and asks for what it missed; only after a refusal it stays closed.
    if (this.#events && this.#events.readyState !== EventSource.CLOSED) return;
    const events = new EventSource("/detections");
    events.onmessage = ({ data }) => {
      this.#heard();
      this.#handlers.record(JSON.parse(data));
    };
    events.addEventListener("gap", ({ data }) => this.#handlers.gap(JSON.parse(data)));
    this.#events = events;
  }

  async #ask() {
    for (;;) {
      if (document.hidden) {
        await this.#sleep();
        continue;
      }
      const started = performance.now();
      try {
        const [stats, history] = await Promise.all([json("/stats.json"), json(`/history.json?${new URLSearchParams(this.#newest)}`)]);
        for (const stage in this.#newest) this.#newest[stage] = history[stage].t_ms.at(-1) ?? this.#newest[stage];
        this.#heard();
        this.#handlers.numbers(stats, history);
        this.#listen();
      } catch {
        this.#failed();
        this.#handlers.numbers(null, null);
      }
      await wait(Math.max(100, ASK_MS - (performance.now() - started)));
    }
  }
}

async function json(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}
