// speak.js — one request for speech: 16-bit samples as they come, and its times.
import { request } from "./api.js";

export const RATE = 24000;

/** Sends `body`; piece(samples, seconds) gets a Float32Array and when it came. Gives { whole, seconds }: until
    all of it was here, and of speech. */
export async function speak(body, piece, signal) {
  const began = performance.now(), since = () => (performance.now() - began) / 1000;
  const reply = await request("v1/audio/speech", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, response_format: "pcm", stream: true, stream_format: "audio" }),
    signal,
  });
  const reader = reply.body.getReader();
  let odd = null, samples = 0; // odd: the first byte of a sample whose second one has not come
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let bytes = value;
    if (odd !== null) {
      bytes = new Uint8Array(value.length + 1);
      bytes[0] = odd;
      bytes.set(value, 1);
    }
    odd = bytes.length % 2 ? bytes[bytes.length - 1] : null;
    const count = bytes.length >> 1;
    if (count === 0) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, 2 * count);
    const part = new Float32Array(count);
    for (let i = 0; i < count; i++) part[i] = view.getInt16(2 * i, true) / 32768;
    samples += count;
    piece(part, since());
  }
  if (!samples) throw new Error("The server sent no sound.");
  return { whole: since(), seconds: samples / RATE };
}
