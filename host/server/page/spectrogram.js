// spectrogram.js — a mel spectrogram that grows with the sound: a column for every hop, drawn once, scaled to the canvas.
// It works a few milliseconds a frame, so that nothing waits for it: not the player, not the reader of what comes.

const SIZE = 1024, HOP = 256, BANDS = 96;
const SHORTEST = 500; // columns shown at least, while more may come
const LONGEST = 8192; // columns kept: beyond them every second one goes, and hops are twice as long
const BUDGET = 8, AT_ONCE = 8; // milliseconds a frame; columns between two looks at the clock
const FLOOR = -9, RANGE = 9.5; // natural logarithm of the magnitude: black, and from there to white

// Colours from black over violet and orange to white, as lightness that rises evenly.
const STOPS = [[0, 13, 12, 20], [0.25, 66, 28, 102], [0.5, 158, 47, 107], [0.7, 226, 92, 66], [0.88, 251, 176, 76],
  [1, 252, 250, 220]];
const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const x = i / 255, at = Math.max(1, STOPS.findIndex((s) => s[0] >= x));
  const [a, b] = [STOPS[at - 1], STOPS[at]], part = (x - a[0]) / (b[0] - a[0]);
  return [1, 2, 3].map((c) => Math.round(a[c] + part * (b[c] - a[c])));
});

const WINDOW = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
const COSINE = Float32Array.from({ length: SIZE / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / SIZE));
const SINE = Float32Array.from({ length: SIZE / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / SIZE));

// Radix 2, in place.
function transform(re, im) {
  for (let i = 1, j = 0; i < SIZE; i++) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j]] = [re[j], re[i]];
  }
  for (let half = 1; half < SIZE; half *= 2)
    for (let from = 0, step = SIZE / (2 * half); from < SIZE; from += 2 * half)
      for (let k = 0; k < half; k++) {
        const c = COSINE[k * step], s = -SINE[k * step], a = from + k, b = a + half;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
}

// The bins that each band takes, evenly on the mel scale up to half the rate.
function bands(rate) {
  const mel = (f) => 2595 * Math.log10(1 + f / 700), hertz = (m) => 700 * (10 ** (m / 2595) - 1);
  const top = mel(rate / 2);
  return Array.from({ length: BANDS }, (_, i) => {
    const low = (hertz((top * i) / BANDS) * SIZE) / rate, high = (hertz((top * (i + 1)) / BANDS) * SIZE) / rate;
    return [Math.floor(low), Math.max(Math.floor(low) + 1, Math.ceil(high))];
  });
}

export class Spectrogram {
  constructor(canvas, rate) {
    this.canvas = canvas;
    this.rate = rate;
    this.bands = bands(rate);
    this.frame = null;
    this.strip = document.createElement("canvas"); // a pixel a column and band
    this.re = new Float32Array(SIZE);
    this.im = new Float32Array(SIZE);
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.clear();
  }

  clear() {
    this.strip.width = LONGEST;
    this.strip.height = BANDS;
    this.columns = 0;
    this.hop = HOP;
    this.rest = new Float32Array(0); // samples that a later column needs
    this.skip = 0; // samples to come that none needs
    this.waiting = []; // pieces that are not drawn yet
    this.position = -1;
    this.shortest = SHORTEST;
    this.draw();
  }

  /** No more comes: what there is takes the whole width. */
  finish() {
    this.shortest = 1;
    this.#soon();
  }

  add(samples) {
    this.waiting.push(samples);
    this.#soon();
  }

  #soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#work(performance.now() + BUDGET);
      this.draw();
      if (this.waiting.length) this.#soon();
    });
  }

  #work(until) {
    while (this.waiting.length && performance.now() < until) {
      const samples = this.waiting.shift(), all = new Float32Array(this.rest.length + samples.length);
      all.set(this.rest);
      all.set(samples, this.rest.length);
      let at = this.skip;
      while (at + SIZE <= all.length && performance.now() < until) {
        if (this.columns === LONGEST) this.#halve();
        const left = Math.floor((all.length - at - SIZE) / this.hop) + 1;
        const count = Math.min(LONGEST - this.columns, AT_ONCE, left);
        this.#addColumns(all, at, count);
        at += count * this.hop;
      }
      this.skip = Math.max(0, at - all.length);
      this.rest = all.slice(at);
      if (this.rest.length >= SIZE) { // the time is up
        this.waiting.unshift(this.rest);
        this.rest = new Float32Array(0);
      }
    }
  }

  #addColumns(all, from, count) {
    const context = this.strip.getContext("2d"), image = context.createImageData(count, BANDS);
    for (let column = 0; column < count; column++) {
      for (let i = 0; i < SIZE; i++) this.re[i] = all[from + column * this.hop + i] * WINDOW[i];
      this.im.fill(0);
      transform(this.re, this.im);
      this.bands.forEach(([low, high], band) => {
        let most = 0;
        for (let k = low; k < high; k++) most = Math.max(most, Math.hypot(this.re[k], this.im[k]));
        const level = (Math.log(most / (SIZE / 4) + 1e-6) - FLOOR) / RANGE;
        const colour = COLOURS[Math.max(0, Math.min(255, Math.round(level * 255)))];
        image.data.set([...colour, 255], 4 * ((BANDS - 1 - band) * count + column));
      });
    }
    context.putImageData(image, this.columns, 0);
    this.columns += count;
  }

  #halve() {
    const half = document.createElement("canvas");
    half.width = LONGEST;
    half.height = BANDS;
    half.getContext("2d").drawImage(this.strip, 0, 0, LONGEST, BANDS, 0, 0, LONGEST / 2, BANDS);
    this.strip = half;
    this.columns = LONGEST / 2;
    this.hop *= 2;
  }

  /** Draws all there is, and a line at `position` seconds; below 0 there is none. */
  draw(position = this.position) {
    this.position = position;
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    const width = Math.round(clientWidth * ratio), height = Math.round(clientHeight * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#0d0c14";
    context.fillRect(0, 0, width, height);
    if (!this.columns) return;
    const shown = Math.max(this.columns, (this.shortest * HOP) / this.hop);
    context.drawImage(this.strip, 0, 0, this.columns, BANDS, 0, 0, (width * this.columns) / shown, height);
    if (position < 0) return;
    context.fillStyle = "#ffffff";
    context.fillRect(Math.round((width * position * this.rate) / this.hop / shown), 0, Math.max(2, Math.round(1.5 * ratio)), height);
  }
}
