// player.js — plays sound while it comes: pieces are scheduled one behind the other on the clock of the audio context.

const LEAD = 0.06; // seconds between a start and its first sound

export class Player {
  /** changed() is called when playing begins, ends or stops for want of sound. */
  constructor(rate, changed) {
    this.rate = rate;
    this.changed = changed;
    this.context = this.sources = null;
    this.clear();
  }

  clear() {
    this.stop();
    this.pieces = []; // Float32Array each
    this.length = 0; // samples
    this.complete = false;
    this.at = 0; // seconds, where it stands or stood
  }

  /** Must be called from a click or a key first: browsers let no page make sound by itself. */
  wake() {
    this.context ??= new AudioContext({ sampleRate: this.rate });
    return this.context.resume();
  }

  get seconds() { return this.length / this.rate; }
  get playing() { return this.sources !== null; }

  get position() {
    if (!this.playing) return this.at;
    return Math.max(this.at, Math.min(this.ended, this.at + this.context.currentTime - this.began));
  }

  add(samples) {
    this.pieces.push(samples);
    const from = this.length;
    this.length += samples.length;
    if (this.playing) this.#schedule(samples, from);
  }

  /** No more comes. */
  finish() {
    this.complete = true;
    if (this.playing && this.sources.size === 0) this.#atEnd();
  }

  play(from = this.at) {
    this.stop();
    if (this.complete && from >= this.seconds - 0.02) from = 0;
    this.at = this.ended = from;
    this.began = this.context.currentTime + LEAD;
    this.sources = new Set();
    let start = 0;
    for (const piece of this.pieces) {
      const skip = Math.max(0, Math.round(from * this.rate) - start);
      if (skip < piece.length) this.#schedule(piece.subarray(skip), start + skip);
      start += piece.length;
    }
    this.changed();
  }

  stop() {
    if (!this.sources) return;
    this.at = this.position;
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
    }
    this.sources = null;
    this.changed();
  }

  #schedule(samples, from) {
    const now = this.context.currentTime;
    let when = this.began + from / this.rate - this.at;
    if (when < now) { // it came too late: the clock of the sound stood still meanwhile
      this.began += now + LEAD - when;
      when = now + LEAD;
    }
    const buffer = this.context.createBuffer(1, samples.length, this.rate);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource(), sources = this.sources;
    source.buffer = buffer;
    source.connect(this.context.destination);
    source.onended = () => {
      sources.delete(source);
      if (sources === this.sources && sources.size === 0 && this.complete) this.#atEnd();
    };
    sources.add(source);
    source.start(when);
    this.ended = (from + samples.length) / this.rate;
  }

  #atEnd() {
    this.stop();
    this.at = this.seconds;
    this.changed();
  }
}
