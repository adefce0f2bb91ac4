// The overview: how much there is, when, where and how sure; everything follows the filter.

import { address, ask, tables, tell } from "./api.js";
import { barTable, heatMap, histogram, placeMap } from "./charts.js";
import { colour, count, countNoun, h, replace, span } from "./dom.js";
import { FilterBar } from "./filters.js";
import { announce, openPage, showing } from "./shell.js";

const page = document.querySelector("#page");
const SHOWN = 30; // classes listed before "show all"
const state = { own: null, told: null, bar: null, column: null, all: false, label: null, thresholds: {}, asked: 0 };
const parts = {};

async function start(own) {
  state.own = own;
  state.thresholds = Object.fromEntries(Object.entries(own.rules).map(([label, rule]) => [label, rule.needed_peak]));
  state.told = await ask(`/api/${tables()}/describe`);
  state.column = pickColumn(state.told.columns);
  for (const name of ["filters", "facts", "labels", "scores", "heat", "column", "places", "failures", "about"]) parts[name] = h("section", { class: name === "filters" ? "filters" : "card", "aria-live": null });
  parts.facts.className = "";
  replace(page, parts.filters, parts.facts, h("div", { class: "pair" }, parts.labels, parts.scores), parts.heat, h("div", { class: "pair" }, parts.column, parts.places), parts.failures, parts.about);
  state.bar = new FilterBar(parts.filters, state.told.columns, update);
  drawFacts();
  drawFailures();
  drawAbout();
  await update();
}

const pickColumn = (columns) => ["city", "site", "group"].find((name) => columns.includes(name)) ?? columns[0] ?? null;

async function refresh(now) {
  for (const [label, rule] of Object.entries(now.rules)) {
    const before = state.own?.rules[label]?.needed_peak;
    if (before === undefined || Math.abs(state.thresholds[label] - before) < 1e-9) state.thresholds[label] = rule.needed_peak; // nobody has dragged it
  }
  state.own = now;
  state.told = await ask(`/api/${tables()}/describe`);
  if (!parts.facts) return;
  drawFacts();
  drawFailures();
  await update();
}

async function update() {
  const turn = (state.asked += 1);
  await showing(parts.labels, async () => {
    const sums = await ask(`/api/${tables()}/summary`, { filter: state.bar.text, column: state.column });
    if (turn !== state.asked) return; // a later filter has been asked for
    state.sums = sums;
    drawLabels();
    drawScores();
    drawHeat();
    drawColumn();
    drawPlaces();
    announce(countNoun(sums.events.events, "event"));
    page.dataset.ready = String(turn);
  });
}

function drawFacts() {
  const told = state.told;
  const facts = [
    ["recordings", count(told.recordings)],
    ["analysed", span(told.analysed_s)],
    ["events", count(told.events)],
    ["without any event", count(told.silent_recordings)],
    ["failed", count(told.failed)],
  ];
  replace(
    parts.facts,
    h("dl", { class: "facts", "aria-label": "The whole archive" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    told.days[0] ? h("p", { class: "note" }, `The whole archive: audio from ${told.days[0]} to ${told.days[1]}, told in ${state.own.timezone}. What is below follows the filter.`, told.without_time ? ` ${countNoun(told.without_time, "recording")} of unknown time.` : "") : null,
  );
}

function drawLabels() {
  const { labels, events } = state.sums;
  const chosen = new Set(state.bar.filter.labels ?? []);
  const known = new Map(state.own.labels.map((label, place) => [label, place]));
  const rows = [...labels, ...state.own.labels.filter((label) => !labels.some((row) => row.label === label)).map((label) => ({ label, events: 0, seconds: 0, clips: 0 }))];
  const shown = state.all ? rows : rows.filter((row, place) => place < SHOWN || chosen.has(row.label));
  replace(
    parts.labels,
    h("h2", {}, "Events by class"),
    h("p", { class: "note" }, `${countNoun(events.events, "event")} fit the filter, ${span(events.seconds)} in all. Choose classes to see them alone.`),
    barTable(
      shown.map((row) => ({ name: row.label, value: row.events, texts: [span(row.seconds), count(row.clips)], colour: colour(known.get(row.label) ?? known.size), chosen: chosen.has(row.label) })),
      { head: ["class", "events", "time", "recordings"], caption: "Events by class", pick: (row) => state.bar.toggleLabel(row.name) },
    ),
    rows.length > shown.length || state.all ? h("button", { type: "button", onclick: () => ((state.all = !state.all), drawLabels()) }, state.all ? "Show the most frequent" : `Show all ${rows.length} classes`) : null,
    h("p", {}, h("a", { href: address("/recordings", { tables: tables(), filter: state.bar.text }) }, "Recordings"), " · ", h("a", { href: address("/review", { tables: tables(), filter: state.bar.text }) }, "Review these events")),
  );
}

function drawScores() {
  const labels = state.own.labels;
  if (!labels.includes(state.label)) state.label = (state.bar.filter.labels ?? [])[0] ?? state.sums.labels[0]?.label ?? labels[0];
  if ((state.bar.filter.labels ?? []).length === 1) state.label = state.bar.filter.labels[0];
  const label = state.label;
  const bins = state.sums.scores[label] ?? new Array(50).fill(0);
  const before = state.own.rules[label]?.needed_peak ?? 0.5;
  const now = state.thresholds[label] ?? before;
  const { picture, move } = histogram(bins, { threshold: now, caption: `Peak scores of the events of ${label}` });
  const said = h("p", { class: "counted", "aria-live": "polite" });
  const value = h("output", {}, now.toFixed(2));
  const say = () => {
    const threshold = state.thresholds[label] ?? before;
    value.textContent = threshold.toFixed(2);
    move(threshold);
    const kept = bins.reduce((sum, n, place) => sum + ((place + 0.5) / bins.length >= threshold ? n : 0), 0);
    const all = bins.reduce((sum, n) => sum + n, 0);
    const below = threshold < before - 1e-9;
    replace(said, h("b", {}, count(kept)), ` of ${countNoun(all, "event")} have a peak of at least ${threshold.toFixed(2)}.`, below ? " Events below the threshold they were found with are not in the tables yet: hubbub events finds them again from the stored scores." : "", windowsAbove(label, threshold));
  };
  const slider = h("input", { type: "range", min: "0.01", max: "1", step: "0.01", value: String(now), "aria-label": `Threshold of ${label}`, id: "threshold", oninput: (event) => ((state.thresholds[label] = Number(event.target.value)), say(), drawSave()) });
  const save = h("div", { class: "save" });
  parts.save = save;
  replace(
    parts.scores,
    h("h2", {}, "Scores and thresholds"),
    h("label", { class: "inline" }, "Class ", h("select", { onchange: (event) => ((state.label = event.target.value), (state.pinned = true), drawScores()) }, labels.map((name) => h("option", { value: name, selected: name === label }, name)))),
    picture,
    h("div", { class: "slider" }, h("span", {}, "Threshold "), slider, value),
    said,
    save,
  );
  say();
  drawSave();
  if (state.windows === undefined) followWindows(say);
}

function windowsAbove(label, threshold) {
  const above = state.windows?.above[label]?.[Math.round(100 * threshold)];
  if (above === undefined) return "";
  const part = state.windows.units < state.windows.units_in_all ? ` (of ${count(state.windows.units)} of ${count(state.windows.units_in_all)} parts, at random)` : "";
  return ` ${countNoun(above, "window")} of ${state.windows.window_s.toFixed(1)} s score as much or more${part}.`;
}

async function followWindows(say) {
  state.windows = null;
  for (let turn = 0; turn < 400 && !state.windows; turn += 1) {
    state.windows = await ask(`/api/${tables()}/windows`).catch(() => null);
    if (!state.windows) await new Promise((later) => setTimeout(later, 1500));
  }
  say();
}

function drawSave() {
  const changed = Object.entries(state.thresholds).filter(([label, threshold]) => Math.abs(threshold - (state.own.rules[label]?.needed_peak ?? threshold)) > 1e-9);
  replace(
    parts.save,
    h("button", { type: "button", class: "primary", disabled: changed.length === 0, onclick: saveRules }, "Save as rules"),
    " ",
    changed.length ? h("span", { class: "note" }, changed.map(([label, threshold]) => `${label} ${state.own.rules[label].needed_peak.toFixed(2)} → ${threshold.toFixed(2)}`).join(", ")) : h("span", { class: "note" }, "Drag a threshold first; other classes stay."),
    h("div", { id: "saved", role: "status" }, state.saved ?? null),
  );
}

async function saveRules() {
  const changed = Object.fromEntries(Object.entries(state.thresholds).filter(([label, threshold]) => Math.abs(threshold - (state.own.rules[label]?.needed_peak ?? threshold)) > 1e-9));
  const place = document.querySelector("#saved");
  const answer = await showing(place, () => tell(`/api/${tables()}/rules`, { thresholds: changed }));
  if (!answer) return;
  state.saved = h("p", {}, `Saved ${answer.path}. These events come of it:`, h("code", { class: "command" }, answer.command));
  replace(place, state.saved);
}

function drawHeat() {
  const { heat, effort, events } = state.sums;
  const labels = state.bar.filter.labels ?? [];
  replace(
    parts.heat,
    h("h2", {}, labels.length ? `When: ${labels.join(", ")}` : "When"),
    heatMap(heat, effort, { unit: "events", from: state.told.days[0], pick: (day, hour) => state.bar.set({ from_day: day, to_day: day, hours: [hour] }) }),
    events.without_time ? h("p", { class: "note" }, `${countNoun(events.without_time, "event")} of unknown time not shown here.`) : null,
  );
}

function drawColumn() {
  const found = state.sums.column;
  if (!found) return replace(parts.column, h("h2", {}, "By column"), h("p", { class: "note" }, "The recordings carry no column to part them by."));
  const chosen = new Set(state.bar.filter.columns?.[found.name] ?? []);
  replace(
    parts.column,
    h("h2", {}, "By ", h("select", { "aria-label": "Column", onchange: (event) => ((state.column = event.target.value), update()) }, state.told.columns.map((name) => h("option", { value: name, selected: name === found.name }, name)))),
    barTable(
      found.values.map((row) => ({ name: row.value ?? "none", raw: row.value, value: row.events, texts: [span(row.seconds), row.seconds ? (row.events / (row.seconds / 3600)).toFixed(1) : "–"], chosen: chosen.has(row.value) })),
      { head: [found.name, "events", "audio", "an hour"], caption: `Events by ${found.name}`, pick: (row) => state.bar.toggleValue(found.name, row.raw) },
    ),
    found.left_out ? h("p", { class: "note" }, `${countNoun(found.left_out, "value")} more not listed.`) : null,
  );
}

function drawPlaces() {
  const found = state.sums.places;
  parts.places.hidden = !found || !found.places.length;
  if (parts.places.hidden) return;
  const rows = found.places.slice(0, 12).map((place) => ({ name: place.name ?? `${place.lat.toFixed(4)}, ${place.lon.toFixed(4)}`, value: place.events, texts: [span(place.seconds)], place }));
  const pick = (place) => place.name !== null && state.bar.toggleValue("group", place.name);
  replace(
    parts.places,
    h("h2", {}, "Where"),
    placeMap(found.places, { pick }),
    barTable(rows, { head: ["place", "events", "audio"], caption: "Events by place", pick: (row) => pick(row.place) }),
    found.left_out ? h("p", { class: "note" }, `${countNoun(found.left_out, "place")} more not drawn.`) : null,
    found.clips_without ? h("p", { class: "note" }, `${countNoun(found.clips_without, "recording")} without coordinates.`) : null,
  );
}

function drawFailures() {
  const { failures, failed } = state.told;
  parts.failures.hidden = !failed;
  replace(
    parts.failures,
    h("h2", {}, `Failed: ${countNoun(failed, "file")}`),
    failures.map((kind) =>
      h("details", {}, h("summary", {}, `${kind.kind}: ${countNoun(kind.clips, "file")}`), h("table", { class: "plain" }, h("tbody", {}, kind.some.map((one) => h("tr", {}, h("th", { scope: "row", class: "uri" }, one.uri), h("td", {}, one.error)))))),
    ),
    h("p", { class: "note" }, "hubbub label with --retry-failed tries them again; files/ of the tables has all of them."),
  );
}

function drawAbout() {
  const own = state.own;
  replace(
    parts.about,
    h("h2", {}, "Model and rules"),
    h("p", { class: "note" }, `Tables ${own.path}, made ${own.created_at ?? "at an unknown time"} by model ${own.model ?? "unknown"} with settings ${own.settings ?? "unknown"}.`),
    h("details", {}, h("summary", {}, `Rules of ${countNoun(Object.keys(own.rules).length, "class").replace("classs", "classes")}`), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rules" }, h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["class", "threshold", "release", "least peak", "shortest, s", "gap closed, s"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, Object.entries(own.rules).map(([label, rule]) => h("tr", {}, h("th", { scope: "row" }, label), [rule.threshold, rule.release, rule.least_peak, rule.min_duration_s, rule.merge_gap_s].map((number) => h("td", { class: "number" }, +Number(number).toFixed(3))))))))),
  );
}

const own = await showing(page, () => openPage((now) => refresh(now)));
if (own) await showing(page, () => start(own));
