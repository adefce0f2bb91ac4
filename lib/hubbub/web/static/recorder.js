// The microphone as a WAV file, made here of its samples: what is scored is what was heard, and nothing encodes it.

const HEAD_BYTES = 44;

/** Records until `stop`. `onSamples(seconds, peak)` is called as samples come; `mostBytes` ends it. */
export class Recorder {
  constructor({ mostBytes, onSamples, onFull }) {
    this.mostBytes = mostBytes;
    this.onSamples = onSamples;
    this.onFull = onFull;
    this.parts = [];
    this.count = 0;
  }

  static get isPossible() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);
  }

  async start() {
    // Without what makes calls pleasant and sounds different from those that a model was trained on.
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/static/recorder-worklet.js");
    this.rate = this.context.sampleRate;
    this.node = new AudioWorkletNode(this.context, "tap", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.take(data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    await this.context.resume();
  }

  take(samples) {
    if (HEAD_BYTES + 2 * (this.count + samples.length) > this.mostBytes) return this.onFull?.();
    this.parts.push(samples);
    this.count += samples.length;
    let peak = 0;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    return this.onSamples?.(this.count / this.rate, peak);
  }

  /** End it; returns a file, null where nothing was heard. */
  async stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.node?.port.close();
    await this.context?.close();
    return this.count ? new File([encodeWav(this.parts, this.count, this.rate)], nameNow(), { type: "audio/wav" }) : null;
  }
}

function nameNow() {
  const now = new Date();
  return `microphone ${[now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, "0")).join(".")}.wav`;
}

/** Mono samples of -1 to 1 as WAV of 16 bits. */
export function encodeWav(parts, count, rate) {
  const view = new DataView(new ArrayBuffer(HEAD_BYTES + 2 * count));
  const text = (at, letters) => [...letters].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * count, true);
  let at = HEAD_BYTES;
  for (const part of parts)
    for (const sample of part) {
      view.setInt16(at, Math.round(Math.min(1, Math.max(-1, sample)) * 32767), true);
      at += 2;
    }
  return view.buffer;
}
