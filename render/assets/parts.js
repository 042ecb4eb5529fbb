// Parses multipart/x-mixed-replace from a ReadableStream: each picture with its own headers. An <img> would show the
// same pictures, but could not say which record belongs to which.

const decoder = new TextDecoder();
// A part larger than this is damage, not a picture.
const MOST = 64 << 20;

/** Yields {headers: Map, body: Uint8Array} per part until the stream ends. */
export async function* parts(stream) {
  const reader = stream.getReader();
  let chunks = [];
  let size = 0;

  // Makes at least `want` bytes available as one array; null at the end of the stream.
  async function fill(want) {
    while (size < want) {
      const { done, value } = await reader.read();
      if (done) return null;
      chunks.push(value);
      size += value.length;
    }
    if (chunks.length > 1) {
      const all = new Uint8Array(size);
      let at = 0;
      for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
      }
      chunks = [all];
    }
    return chunks[0];
  }

  function drop(count) {
    chunks = [chunks[0].subarray(count)];
    size -= count;
  }

  try {
    for (;;) {
      let end = -1;
      let data;
      for (let want = 4; end < 0; want = size + 1) {
        data = await fill(want);
        if (!data) return;
        end = headEnd(data);
        if (end < 0 && size > MOST) throw new Error("part without end of headers");
      }
      const headers = parseHead(decoder.decode(data.subarray(0, end)));
      const length = Number(headers.get("content-length"));
      if (!(length >= 0 && length <= MOST)) throw new Error("part without length");
      drop(end + 4);
      data = await fill(length + 2);
      if (!data) return;
      const body = data.slice(0, length);
      drop(length + 2);
      yield { headers, body };
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function headEnd(data) {
  for (let i = 0; i + 3 < data.length; i++) {
    if (data[i] === 13 && data[i + 1] === 10 && data[i + 2] === 13 && data[i + 3] === 10) return i;
  }
  return -1;
}

function parseHead(text) {
  const headers = new Map();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}
