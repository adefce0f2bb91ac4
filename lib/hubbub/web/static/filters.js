// The bar of filters above the overview, the recordings and the review: what is chosen, and how to change it.

import { keepHere, readFilter, writeFilter } from "./api.js";
import { h, replace } from "./dom.js";

/** The filter of a page: what it is, and a bar that shows and changes it. */
export class FilterBar {
  constructor(place, columns, onChange) {
    this.place = place;
    this.columns = columns;
    this.onChange = onChange;
    this.filter = readFilter();
    this.draw();
    window.addEventListener("popstate", () => {
      this.filter = readFilter();
      this.draw();
      this.onChange();
    });
  }

  get text() {
    return writeFilter(this.filter);
  }

  /** Change some of it: {labels: ["dog"]}. */
  set(changes) {
    this.filter = { ...this.filter, ...changes };
    keepHere({ filter: this.text }, { asStep: true });
    this.draw();
    this.onChange();
  }

  /** Let a label in, or take it out. */
  toggleLabel(label) {
    const held = this.filter.labels ?? [];
    this.set({ labels: held.includes(label) ? held.filter((other) => other !== label) : [...held, label] });
  }

  /** Let a value of a column in, or take it out. */
  toggleValue(column, value) {
    const columns = { ...this.filter.columns };
    const held = columns[column] ?? [];
    columns[column] = held.includes(value) ? held.filter((other) => other !== value) : [...held, value];
    if (!columns[column].length) delete columns[column];
    this.set({ columns });
  }

  draw() {
    const filter = this.filter;
    const field = (label, input) => h("label", {}, h("span", {}, label), input);
    const number = (name, label) =>
      field(label, h("input", { type: "number", min: "0", max: "1", step: "0.01", value: filter[name] ?? "", onchange: (event) => this.set({ [name]: event.target.value === "" ? null : Number(event.target.value) }) }));
    const day = (name, label) =>
      field(label, h("input", { type: "date", value: filter[name] ?? "", onchange: (event) => this.set({ [name]: event.target.value || null }) }));
    const reviewed = h(
      "select",
      { onchange: (event) => this.set({ reviewed: event.target.value === "" ? null : event.target.value === "yes" }) },
      [["", "all events"], ["no", "without a verdict"], ["yes", "with a verdict"]].map(([value, text]) =>
        h("option", { value, selected: (filter.reviewed ?? null) === (value === "" ? null : value === "yes") }, text),
      ),
    );
    replace(
      this.place,
      h("div", { class: "fields" }, number("least", "Score from"), number("most", "to"), day("from_day", "Day from"), day("to_day", "to"), field("Hours", this.hours()), field("Verdicts", reviewed)),
      h("div", { class: "chips", role: "group", "aria-label": "Filters in force" }, this.chips()),
    );
  }

  hours() {
    const held = this.filter.hours ?? [];
    const text = held.length ? writeHours(held) : "";
    return h("input", {
      type: "text",
      class: "short",
      placeholder: "5-9, 22",
      title: "Hours of the day, such as 5-9, 22",
      value: text,
      onchange: (event) => {
        const hours = readHours(event.target.value);
        event.target.setCustomValidity(hours ? "" : "Hours of the day from 0 to 23, such as 5-9, 22");
        if (event.target.reportValidity()) this.set({ hours });
      },
    });
  }

  chips() {
    const chips = [];
    const chip = (text, undo) => chips.push(h("button", { class: "chip", type: "button", title: "Remove this filter", onclick: undo }, text, h("span", { "aria-hidden": "true" }, " ×")));
    for (const label of this.filter.labels ?? []) chip(label, () => this.toggleLabel(label));
    for (const [column, values] of Object.entries(this.filter.columns ?? {}))
      for (const value of values) chip(`${column}: ${value ?? "none"}`, () => this.toggleValue(column, value));
    if (this.text) chip("Clear all filters", () => this.clear());
    return chips;
  }

  clear() {
    this.filter = {};
    keepHere({ filter: "" }, { asStep: true });
    this.draw();
    this.onChange();
  }
}

/** Read "5-9, 22" as [5, 6, 7, 8, 9, 22]; a span may pass midnight; null where it is none. */
export function readHours(text) {
  const hours = new Set();
  for (const part of text.split(",").filter((one) => one.trim())) {
    const found = part.trim().match(/^(\d{1,2})(?:\s*[-–]\s*(\d{1,2}))?$/);
    const [first, last] = found ? [Number(found[1]), Number(found[2] ?? found[1])] : [24, 24];
    if (first > 23 || last > 23) return null;
    for (let hour = first; ; hour = (hour + 1) % 24) {
      hours.add(hour);
      if (hour === last) break;
    }
  }
  return [...hours].sort((a, b) => a - b);
}

function writeHours(hours) {
  const parts = [];
  for (let first = 0; first < hours.length; ) {
    let last = first;
    while (hours[last + 1] === hours[last] + 1) last += 1;
    parts.push(first === last ? `${hours[first]}` : `${hours[first]}-${hours[last]}`);
    first = last + 1;
  }
  return parts.join(", ");
}
