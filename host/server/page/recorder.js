// recorder.js — a few seconds from the microphone as a WAV file, with a level to look at meanwhile.
import { decodeMono, wavBlob } from "./wav.js";

export const LONGEST = 15; // seconds; the engine uses the first 12

export class Recorder {
  /** level(x): 0 to 1, while it records; seconds(s) the same. */
  constructor({ level, seconds }) {
    this.level = level;
    this.seconds = seconds;
  }

  get running() { return this.recorder?.state === "recording"; }

  /** Resolves with { blob, seconds } when it was stopped. Throws where there is no microphone, or none is allowed. */
  async record() {
    if (!navigator.mediaDevices || !window.MediaRecorder)
      throw new Error("This browser gives no microphone here: a page must come by https, or from localhost.");
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    const context = new AudioContext(), analyser = context.createAnalyser(), pieces = [];
    try {
      context.createMediaStreamSource(stream).connect(analyser);
      this.recorder = new MediaRecorder(stream);
      this.recorder.ondataavailable = (event) => pieces.push(event.data);
      const stopped = new Promise((done, failed) => {
        this.recorder.onstop = done;
        this.recorder.onerror = (event) => failed(event.error);
      });
      this.recorder.start();
      this.#watch(analyser, performance.now());
      await stopped;
    } finally {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
    }
    const { samples, rate } = await decodeMono(new Blob(pieces, { type: this.recorder.mimeType }));
    return { blob: wavBlob([samples], rate), seconds: samples.length / rate };
  }

  stop() {
    if (this.running) this.recorder.stop();
  }

  #watch(analyser, began) {
    const wave = new Float32Array(analyser.fftSize);
    const look = () => {
      if (!this.running) return this.level(0);
      analyser.getFloatTimeDomainData(wave);
      this.level(Math.min(1, wave.reduce((most, x) => Math.max(most, Math.abs(x)), 0)));
      const seconds = (performance.now() - began) / 1000;
      this.seconds(seconds);
      if (seconds >= LONGEST) this.stop();
      else requestAnimationFrame(look);
    };
    look();
  }
}
