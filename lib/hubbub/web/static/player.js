// Sound in step with the picture. Pieces are scheduled by the clock of the audio hardware, each at its own sample, so a
// cursor read off that clock cannot drift however long the recording is.

import { address } from "./api.js";

const PIECE_S = 8; // as heard
const AHEAD = 2;

let opened = null; // browsers give a page few of them, so all players share one

/** Plays one recording from anywhere. */
export class Player {
  constructor(base, { rate, duration, onEnd, onProblem }) {
    this.base = base;
    this.rate = rate;
    this.duration = duration;
    this.onEnd = onEnd;
    this.onProblem = onProblem;
    this.slow = 1;
    this.volume = 1;
    this.playing = null;
    this.at = 0;
    this.kept = new Map();
  }

  get isPlaying() {
    return this.playing !== null;
  }

  /** Seconds in the recording that are heard now. */
  position() {
    const run = this.playing;
    if (!run) return this.at;
    const heard = run.from + (run.context.currentTime - run.anchor) / this.slow;
    return Math.min(Math.max(run.from, heard), run.scheduled, run.to);
  }

  /** Fetch the piece that begins at `from`, so that playing it needs no waiting. */
  prefetch(from, to = this.duration) {
    return this.piece(from, Math.min(PIECE_S / this.slow, to - from));
  }

  async play(from, to = this.duration) {
    this.stop();
    const context = this.open();
    const gain = new GainNode(context, { gain: this.volume });
    const analyser = new AnalyserNode(context, { fftSize: 8192 });
    gain.connect(analyser).connect(context.destination);
    const run = { context, gain, analyser, from, to: Math.min(to, this.duration), anchor: null, scheduled: from, sources: [] };
    this.playing = run;
    this.at = from;
    run.anchor = context.currentTime + 1e9; // nothing is heard until the first piece is there
    try {
      await context.resume();
      await this.schedule(run);
    } catch (error) {
      if (this.playing === run) this.stop();
      if (error.name !== "AbortError") this.onProblem?.(error.message);
    }
  }

  stop() {
    const run = this.playing;
    if (!run) return;
    this.at = this.position();
    this.playing = null;
    for (const source of run.sources) source.stop();
    run.gain.disconnect();
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.playing) this.playing.gain.gain.value = volume;
  }

  open() {
    const rate = Math.max(8000, Math.min(96000, Math.min(this.rate, 48000 * this.slow) / this.slow));
    if (opened?.sampleRate !== rate) {
      opened?.close();
      opened = new AudioContext({ sampleRate: rate }); // the pieces' own: nothing is resampled at their seams
    }
    return opened;
  }

  async schedule(run) {
    const step = PIECE_S / this.slow;
    for (let from = run.from; from < run.to - 1e-6; from += step) {
      const length = Math.min(step, run.to - from);
      const sound = await this.piece(from, length);
      if (this.playing !== run) return;
      if (sound) {
        let when = run.anchor + (from - run.from) * this.slow;
        if (from === run.from) {
          run.anchor = run.context.currentTime + 0.06;
          when = run.anchor;
        } else if (when < run.context.currentTime + 0.01) {
          const late = run.context.currentTime + 0.03 - when; // the piece came too late: the cursor has waited for it
          run.anchor += late;
          when += late;
        }
        const source = new AudioBufferSourceNode(run.context, { buffer: sound });
        source.connect(run.gain);
        source.start(when);
        run.sources.push(source);
        run.scheduled = from + sound.duration / this.slow;
        if (sound.duration < length * this.slow - 0.05) run.to = run.scheduled; // the recording ends here
      } else {
        run.to = run.scheduled;
      }
      if (from + step >= run.to - 1e-6) break;
      this.prefetch(from + step, run.to).catch(() => {});
      while (this.playing === run && this.position() < from + step - AHEAD * Math.min(step, 4 / this.slow)) await pause(100);
      if (this.playing !== run) return;
    }
    while (this.playing === run && this.position() < run.to - 0.005) await pause(40);
    if (this.playing === run) {
      this.stop();
      this.at = run.to;
      this.onEnd?.();
    }
  }

  piece(from, length) {
    const key = `${from.toFixed(6)} ${length.toFixed(6)} ${this.slow}`;
    if (!this.kept.has(key)) {
      const made = this.load(from, length);
      made.catch(() => this.kept.delete(key));
      this.kept.set(key, made);
      while (this.kept.size > 12) this.kept.delete(this.kept.keys().next().value);
    }
    return this.kept.get(key);
  }

  async load(from, length) {
    const answer = await fetch(address(`${this.base}/sound`, { start: from, length, slow: this.slow }));
    if (!answer.ok) throw new Error((await answer.json()).error);
    const data = await answer.arrayBuffer();
    return this.open().decodeAudioData(data);
  }
}

const pause = (ms) => new Promise((later) => setTimeout(later, ms));
