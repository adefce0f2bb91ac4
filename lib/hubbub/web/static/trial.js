// One model's result for one recording: spectrogram with events and curves, scores, thresholds, a table, files to keep.

import { address, ask, tell } from "./api.js";
import { clock, colour, count, countNoun, h, percent, replace } from "./dom.js";
import { Spectrogram } from "./spectrogram.js";

const CURVES = 4;
const TOP = 8;
const LISTED = 200;

/** A panel of the page. `on` has what it tells: onMove(start, length), onListen(seconds), onProblem(text). */
export class TrialPanel {
  constructor(model, number, { base, told, colours, on }) {
    Object.assign(this, { model, number, base, told, colours, on });
    this.thresholds = {};
    this.shown = TOP;
    this.asked = 0;
    this.events = [];
    this.view = null;
    this.parts = Object.fromEntries(["state", "viewer", "scores", "events", "keep"].map((name) => [name, h("div", { class: name === "state" ? null : `part-${name}` })]));
    const title = `model-${number}`;
    this.box = h("section", { class: "card", "aria-labelledby": title, "data-model": String(number) }, h("h3", { id: title }, model.name, " ", h("span", { class: "soft" }, `${model.kind}, ${countNoun(model.labels.length, "label")}`)), Object.values(this.parts));
    this.loadCurvesLater = later(() => this.loadCurves(), 120);
    this.findLater = later(() => this.find(), 40);
  }

  get own() {
    return `${this.base}/models/${this.number}`;
  }

  /** Show what became of it; `model` is how the model is now. */
  update(trial, model) {
    this.box.dataset.state = trial.state;
    if (trial.state === "done") {
      if (!this.scores) this.open(trial.scores);
      return;
    }
    if (trial.state === "failed") return replace(this.parts.state, h("p", { class: "problem", role: "alert" }, `Not analysed: ${trial.error}`));
    const waits = model.state === "loading" ? "The model is loading; then it is scored." : trial.state === "waiting" ? "Waits for its turn." : `Scoring, ${percent(trial.share)} …`;
    const bar = h("progress", trial.state === "scoring" && trial.share > 0 ? { max: "1", value: trial.share, "aria-label": "Scored" } : { "aria-label": "Scored" });
    return replace(this.parts.state, h("p", { class: "note" }, waits), bar);
  }

  open(scores) {
    this.scores = scores;
    this.chosen = scores.slice(0, CURVES).map((row) => row.label);
    replace(this.parts.state);
    if (!this.told.problem) {
      this.view = new Spectrogram(this.parts.viewer, this.base, this.told, {
        labels: this.colours,
        onMove: (start, length) => {
          this.on.onMove(this, start, length);
          this.loadCurvesLater();
        },
        onPick: (seconds) => this.on.onListen(seconds),
        onProblem: this.on.onProblem,
      });
      const span = this.on.span();
      this.view.show(span?.start ?? 0, span?.length ?? this.told.duration_s);
    }
    this.drawScores();
    this.find();
  }

  threshold(label) {
    return this.thresholds[label] ?? this.model.thresholds[label] ?? 0.5;
  }

  /** The mean of all thresholds. */
  typical() {
    return this.model.labels.reduce((sum, label) => sum + this.threshold(label), 0) / this.model.labels.length;
  }

  move(label, value) {
    this.thresholds[label] = value;
    this.showThreshold(label);
    this.findLater();
    this.placeCurves();
  }

  showThreshold(label) {
    const row = this.rows?.get(label);
    if (!row) return;
    const value = this.threshold(label);
    row.slider.value = String(value);
    row.output.textContent = value.toFixed(2);
    row.line.classList.toggle("above", row.peak >= value);
  }

  /** Find events anew in the stored scores. */
  async find() {
    const asked = (this.asked += 1);
    try {
      const found = await tell(`${this.own}/events`, { thresholds: this.thresholds });
      if (asked !== this.asked) return;
      this.events = found.events;
      if (this.view) {
        this.view.events = found.events;
        this.view.draw();
      }
      this.drawEvents(found);
      this.drawKeep();
      this.box.dataset.events = String(found.total);
      this.on.onFound(this, found.total);
    } catch (error) {
      this.on.onProblem(error.message);
    }
  }

  async loadCurves() {
    if (!this.view) return;
    const [start, end] = [this.view.start, this.view.start + this.view.length];
    if (!this.chosen.length || !(end > start)) {
      this.view.curves = null;
      return this.view.draw();
    }
    const columns = Math.min(1200, Math.max(50, Math.round(this.view.width)));
    try {
      this.curves = await ask(`${this.own}/curves`, { start, end, columns, label: this.chosen });
      return this.placeCurves();
    } catch (error) {
      return this.on.onProblem(error.message);
    }
  }

  placeCurves() {
    if (!this.view || !this.curves) return;
    this.view.curves = Object.entries(this.curves.curves).map(([label, scores]) => [label, { scores, threshold: this.threshold(label), start: this.curves.start_s, end: this.curves.end_s }]);
    this.view.draw();
  }

  drawScores() {
    this.rows = new Map();
    const all = h("input", { type: "range", min: "0.01", max: "1", step: "0.01", "aria-label": `Threshold of all labels, ${this.model.name}`, oninput: (event) => this.moveAll(Number(event.target.value)), value: String(this.typical()) });
    const lines = this.scores.slice(0, this.shown).map((row) => this.drawRow(row));
    const more = this.scores.length - this.shown;
    replace(
      this.parts.scores,
      h("div", { class: "toolbar" }, h("label", { class: "slider" }, "All thresholds ", all), h("button", { type: "button", id: `reset-${this.number}`, onclick: () => this.reset() }, "As the model has them")),
      h(
        "table",
        { class: "scores" },
        h("caption", { class: "hidden" }, `Scores and thresholds, ${this.model.name}`),
        h("thead", {}, h("tr", {}, ["label, with its curve", "highest score", "threshold"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, lines),
      ),
      more > 0 ? h("button", { type: "button", onclick: () => ((this.shown = this.scores.length), this.drawScores()) }, `Show ${count(more)} more`) : null,
    );
    for (const label of this.rows.keys()) this.showThreshold(label);
  }

  drawRow({ label, peak, mean }) {
    const fill = colour(this.colours.indexOf(label));
    const slider = h("input", { type: "range", min: "0.01", max: "1", step: "0.01", "aria-label": `Threshold of ${label}, ${this.model.name}`, oninput: (event) => this.move(label, Number(event.target.value)), value: "0.5" });
    const output = h("output", {});
    const line = h(
      "tr",
      { "data-label": label },
      h("th", { scope: "row" }, h("label", {}, h("input", { type: "checkbox", checked: this.chosen.includes(label), onchange: () => this.choose(label) }), h("span", { class: "swatch", "aria-hidden": "true", style: { background: fill } }), h("span", {}, label))),
      h("td", {}, h("span", { class: "peak", title: `${mean.toFixed(3)} on average` }, h("span", { class: "track", "aria-hidden": "true" }, h("span", { style: { width: `${100 * peak}%`, background: fill } })), h("b", {}, peak.toFixed(2)))),
      h("td", {}, h("span", { class: "slider" }, slider, output)),
    );
    this.rows.set(label, { slider, output, line, peak });
    return line;
  }

  choose(label) {
    this.chosen = this.chosen.includes(label) ? this.chosen.filter((other) => other !== label) : [...this.chosen, label];
    this.loadCurves();
  }

  moveAll(value) {
    for (const label of this.model.labels) this.thresholds[label] = value;
    for (const label of this.rows.keys()) this.showThreshold(label);
    this.findLater();
    this.placeCurves();
  }

  reset() {
    this.thresholds = {};
    this.drawScores();
    document.getElementById(`reset-${this.number}`).focus();
    this.find();
    this.placeCurves();
  }

  drawEvents(found) {
    const listed = found.events.slice(0, LISTED);
    replace(
      this.parts.events,
      h("h4", {}, found.total ? countNoun(found.total, "event") : "No event at these thresholds"),
      found.total
        ? h(
            "div",
            { class: "scroll", tabindex: "0", role: "region", "aria-label": `Events, ${this.model.name}` },
            h(
              "table",
              { class: "plain" },
              h("thead", {}, h("tr", {}, ["label", "from", "to", "peak", "mean", ""].map((name, place) => h("th", { scope: "col", class: place && place < 5 ? "number" : null }, name || h("span", { class: "hidden" }, "listen"))))),
              h("tbody", {}, listed.map((event) => h("tr", {}, h("th", { scope: "row" }, event.label), [clock(event.onset_s), clock(event.offset_s), event.peak.toFixed(2), event.mean.toFixed(2)].map((text) => h("td", { class: "number" }, text)), h("td", {}, h("button", { type: "button", "aria-label": `Listen to ${event.label} at ${clock(event.onset_s)}`, disabled: !this.view, onclick: () => this.on.onListen(Math.max(0, event.onset_s - 0.5)) }, "Listen"))))),
            ),
          )
        : null,
      found.total > listed.length ? h("p", { class: "note" }, `${count(listed.length)} are listed; the files below have all.`) : null,
    );
  }

  drawKeep() {
    const thresholds = Object.keys(this.thresholds).length ? JSON.stringify(this.thresholds) : "";
    const link = (file, text) => h("a", { href: address(`${this.own}/${file}`, { thresholds }), download: true }, text);
    replace(this.parts.keep, h("p", { class: "keep" }, link("events.csv", "Events as CSV"), link("result.json", "Scores and events as JSON")));
  }
}

/** Call `act` once it has not been asked for in `ms`. */
export function later(act, ms) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}
