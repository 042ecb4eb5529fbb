// The last pictures as they came, still compressed, with their records: what the pause mode steps through. Bounded both
// in number and in bytes, whichever is reached first.

export const MOST_FRAMES = 300;
export const MOST_BYTES = 24 << 20;

export class Keep {
  #items = [];
  bytes = 0;

  get length() {
    return this.#items.length;
  }

  /** The oldest is 0. */
  at(index) {
    return this.#items[index];
  }

  /** Takes {body: Uint8Array, ...} and lets go of the oldest beyond the bounds. */
  add(item) {
    this.#items.push(item);
    this.bytes += item.body.length;
    while (this.#items.length > MOST_FRAMES || (this.bytes > MOST_BYTES && this.#items.length > 1)) {
      this.bytes -= this.#items.shift().body.length;
    }
  }

  indexOf(item) {
    return this.#items.indexOf(item);
  }

  /** Where the frame is kept, or -1. */
  find(generation, seq) {
    return this.#items.findLastIndex(({ frame }) => frame?.generation === generation && frame?.seq === seq);
  }
}
