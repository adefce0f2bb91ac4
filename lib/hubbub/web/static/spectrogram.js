// A spectrogram that pans and zooms, from a day to a second, with events, truth, score curves and a cursor in step.

import { clock, colour, h, hertz, replace } from "./dom.js";
import { niceStep } from "./charts.js";
import { TileSet } from "./tiles.js";

const SHORTEST_S = 0.2;
const LANE_PX = 18;

/** The viewer. `told` describes the recording; `labels` gives colours; `onMove` is called when the span changes. */
export class Spectrogram {
  constructor(place, base, told, { labels, onMove, onPick, onProblem, fixed = false }) {
    Object.assign(this, { base, told, labels, onMove, onPick });
    this.start = 0;
    this.length = told.duration_s;
    this.events = [];
    this.truth = null;
    this.curves = null;
    this.edges = null;
    this.cursor = null;
    this.tiles = !told.scales.length ? null : new TileSet(base, told, { onTile: () => this.later(), onProblem });
    this.picture = h("canvas", { class: "picture", "aria-hidden": "true" });
    this.bands = h("div", { class: "bands", "aria-hidden": "true" });
    this.lanes = h("canvas", { class: "lanes", "aria-hidden": "true" });
    this.names = h("div", { class: "name", "aria-hidden": "true" });
    this.curve = h("canvas", { class: "curves", "aria-hidden": "true" });
    this.axis = h("div", { class: "axis", "aria-hidden": "true" });
    this.head = h("div", { class: "head", hidden: true });
    const name = fixed ? `Spectrogram of ${told.uri}` : `Spectrogram of ${told.uri}. Arrow keys move, plus and minus zoom, space plays.`;
    this.box = h("div", { class: "viewer", tabindex: fixed ? null : "0", role: fixed ? "img" : "application", "aria-label": name }, this.bands, this.picture, this.names, this.lanes, fixed ? null : [h("div", { class: "name" }, "score"), this.curve], h("div"), this.axis, this.head);
    replace(place, this.box);
    for (const part of [this.picture, this.lanes, this.curve]) this.listen(part, fixed);
    if (!fixed) this.box.addEventListener("keydown", (event) => this.key(event));
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.box);
  }

  get width() {
    return this.picture.clientWidth || 1;
  }

  /** Show a span, as far as the recording reaches. */
  show(start, length) {
    const whole = Math.max(this.told.duration_s, SHORTEST_S);
    this.length = Math.min(Math.max(length, SHORTEST_S), whole);
    this.start = Math.min(Math.max(0, start), whole - this.length);
    this.draw();
    this.onMove?.(this.start, this.length);
  }

  zoom(factor, about = this.start + this.length / 2) {
    const length = Math.min(Math.max(this.length * factor, SHORTEST_S), this.told.duration_s);
    this.show(about - ((about - this.start) * length) / this.length, length);
  }

  setScale(scale) {
    this.edges = null;
    this.tiles?.setScale(scale);
    this.draw();
  }

  setCursor(seconds) {
    this.cursor = seconds;
    const x = ((seconds - this.start) / this.length) * this.width;
    this.head.hidden = seconds === null || x < 0 || x > this.width;
    this.head.style.left = `${this.picture.offsetLeft + x}px`;
  }

  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.tiles?.adapt();
      this.draw();
    });
  }

  draw() {
    this.drawPicture();
    this.drawLanes();
    this.drawCurves();
    this.drawAxis();
    if (this.cursor !== null) this.setCursor(this.cursor);
  }

  context(canvas) {
    const dense = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * dense), Math.round(canvas.clientHeight * dense)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    return context;
  }

  drawPicture() {
    const context = this.context(this.picture);
    if (!this.tiles) return;
    context.imageSmoothingEnabled = false;
    const height = this.picture.clientHeight;
    const level = this.tiles.levelFor(this.length / this.width);
    const seconds = 2 ** level;
    this.waiting = 0;
    for (let number = Math.floor(this.start / seconds); number * seconds < this.start + this.length; number += 1) {
      let tile = this.tiles.get(level, number);
      let from = number * seconds;
      let part = [0, this.tiles.columns];
      if (!tile) {
        this.waiting += 1;
        for (let up = 1; up <= 6 && !tile; up += 1) {
          const key = `${this.tiles.scale} ${level + up} ${Math.floor(number / 2 ** up)}`; // a coarser one, as long as this is drawn
          tile = this.tiles.held.get(key)?.canvas ?? null;
          if (tile) part = [(this.tiles.columns * (number % 2 ** up)) / 2 ** up, this.tiles.columns / 2 ** up];
        }
      }
      if (!tile) continue;
      const x = ((from - this.start) / this.length) * this.width;
      context.drawImage(tile, part[0], 0, part[1], this.tiles.lines, x, 0, (seconds / this.length) * this.width, height);
    }
    this.box.dataset.waiting = String(this.waiting);
    this.drawBands();
  }

  async drawBands() {
    if (!this.edges) {
      this.edges = [];
      const answer = await fetch(`${this.base}/lines?scale=${this.tiles.scale}`);
      if (!answer.ok) return;
      this.edges = await answer.json();
    }
    const edges = this.edges;
    if (!edges.length) return;
    const top = edges[edges.length - 1];
    const place = (hz) => {
      const line = edges.findIndex((edge) => edge >= hz);
      if (line <= 0) return 100;
      return 100 * (1 - (line - 1 + (hz - edges[line - 1]) / (edges[line] - edges[line - 1])) / (edges.length - 1));
    };
    const wanted = this.tiles.scale === "linear" ? Array.from({ length: 12 }, (_, n) => (n + 1) * niceStep(top / 5)) : [125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000];
    const marks = [];
    let last = 120;
    for (const hz of wanted.filter((one) => one <= top * 0.99))
      if (last - place(hz) >= 8 && place(hz) > 3) {
        last = place(hz);
        marks.push(h("span", { style: { top: `${last.toFixed(2)}%` } }, hertz(hz)));
      }
    replace(this.bands, marks);
  }

  drawLanes() {
    const rows = this.truth ? [["truth", this.truth], ["found", this.events]] : [["events", this.events]];
    const laid = rows.map(([name, events]) => [name, layOut(events, this.start, this.length, this.width)]);
    const tall = laid.reduce((sum, [, lanes]) => sum + Math.max(1, lanes.length) * LANE_PX + 4, 0);
    this.lanes.style.height = `${tall}px`;
    replace(this.names, laid.map(([name, lanes]) => h("div", { style: { height: `${Math.max(1, lanes.length) * LANE_PX + 4}px` } }, name)));
    const context = this.context(this.lanes);
    const over = this.picture.getContext("2d");
    const style = getComputedStyle(this.box);
    context.font = over.font = "11.5px system-ui, sans-serif";
    this.hit = [];
    let y = 2;
    for (const [name, lanes] of laid) {
      for (const lane of lanes) {
        for (const [event, left, right] of lane) {
          const fill = colour(this.labels.indexOf(event.label));
          context.fillStyle = fill;
          context.fillRect(left, y + 1, Math.max(2, right - left), LANE_PX - 3);
          const text = name === "truth" ? event.label : `${event.label} ${event.peak?.toFixed(2) ?? ""}`;
          const wide = context.measureText(text).width;
          context.fillStyle = right - left > wide + 8 ? "#14161c" : style.color;
          context.fillText(text, right - left > wide + 8 ? left + 4 : right + 4, y + LANE_PX - 6);
          this.hit.push([left, right, y, y + LANE_PX, event]);
          if (name !== "truth") {
            over.strokeStyle = fill;
            over.lineWidth = 1.5;
            over.strokeRect(left, 1, Math.max(2, right - left), this.picture.clientHeight - 2);
          }
        }
        y += LANE_PX;
      }
      y += 4 + (lanes.length ? 0 : LANE_PX);
    }
  }

  drawCurves() {
    if (!this.curves && !this.curve.width) return;
    const context = this.context(this.curve);
    const [width, height] = [this.width, this.curve.clientHeight];
    const style = getComputedStyle(this.box);
    for (const [label, { scores, threshold, start, end }] of this.curves ?? []) {
      const fill = colour(this.labels.indexOf(label));
      const y = (score) => height - 3 - score * (height - 6);
      const x = (place) => ((start + ((place + 0.5) / scores.length) * (end - start) - this.start) / this.length) * width;
      context.strokeStyle = style.color;
      context.globalAlpha = 0.35;
      context.setLineDash([4, 4]);
      context.beginPath();
      context.moveTo(0, y(threshold));
      context.lineTo(width, y(threshold));
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
      context.strokeStyle = fill;
      context.lineWidth = 2;
      context.beginPath();
      let down = false;
      scores.forEach((score, place) => {
        if (score === null) return (down = false);
        if (down) context.lineTo(x(place), y(score));
        else context.moveTo(x(place), y(score));
        down = true;
        return down;
      });
      context.stroke();
    }
  }

  drawAxis() {
    const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
    const step = steps.find((one) => (one / this.length) * this.width >= 74) ?? 86400;
    const marks = [];
    for (let number = Math.ceil(this.start / step); number * step <= this.start + this.length; number += 1) {
      const x = ((number * step - this.start) / this.length) * this.width;
      if (x > 12 && x < this.width - 20) marks.push(h("span", { style: { left: `${x}px` } }, clock(number * step, step < 0.1 ? 2 : step < 1 ? 1 : 0)));
    }
    replace(this.axis, marks);
  }

  listen(part, fixed) {
    let from = null;
    const seconds = (event) => this.start + ((event.clientX - part.getBoundingClientRect().left) / this.width) * this.length;
    part.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, start: this.start, moved: false };
      if (!fixed) part.setPointerCapture(event.pointerId);
    });
    part.addEventListener("pointermove", (event) => {
      if (!from || fixed || Math.abs(event.clientX - from.x) < 4) return;
      from.moved = true;
      this.show(from.start - ((event.clientX - from.x) / this.width) * this.length, this.length);
    });
    part.addEventListener("pointerup", (event) => {
      const box = part.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const hit = part === this.lanes ? this.hit?.find(([left, right, top, bottom]) => x >= left - 2 && x <= right + 2 && y >= top && y <= bottom) : null;
      if (from && !from.moved) this.onPick?.(hit ? hit[4].onset_s : seconds(event), hit?.[4] ?? null);
      from = null;
    });
    if (!fixed)
      part.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.show(this.start + ((event.deltaX || event.deltaY) / this.width) * this.length, this.length);
          else this.zoom(1.0015 ** event.deltaY, seconds(event));
        },
        { passive: false },
      );
  }

  key(event) {
    const act = {
      ArrowLeft: () => this.show(this.start - this.length / 4, this.length),
      ArrowRight: () => this.show(this.start + this.length / 4, this.length),
      "+": () => this.zoom(0.5, this.cursor ?? undefined),
      "=": () => this.zoom(0.5, this.cursor ?? undefined),
      "-": () => this.zoom(2, this.cursor ?? undefined),
      Home: () => this.show(0, this.length),
      End: () => this.show(this.told.duration_s, this.length),
      0: () => this.show(0, this.told.duration_s),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}

/** Lay events out in lanes in which no box or text covers another; those outside the span are left out. */
function layOut(events, start, length, width) {
  const lanes = [];
  const free = [];
  for (const event of events) {
    const left = Math.max(-4, ((event.onset_s - start) / length) * width);
    const right = ((event.offset_s - start) / length) * width;
    if (right < 0 || left > width) continue;
    const text = 8 + 6.4 * (event.label.length + 5);
    const end = Math.max(right, right - left > text ? right : right + text);
    let lane = free.findIndex((from) => from <= left);
    if (lane < 0) lane = Math.min(lanes.length, 7);
    lanes[lane] ??= [];
    lanes[lane].push([event, left, Math.min(right, width + 4)]);
    free[lane] = end + 3;
  }
  return lanes;
}
