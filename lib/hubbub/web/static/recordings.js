// The list of recordings that fit the filter, and those in which nothing was found, or that failed.

import { address, ask, here, keepHere, tables } from "./api.js";
import { clock, count, countNoun, h, moment, replace } from "./dom.js";
import { FilterBar } from "./filters.js";
import { announce, openPage, showing } from "./shell.js";

const page = document.querySelector("#page");
const parts = { filters: h("section", { class: "filters" }), tools: h("div", { class: "toolbar" }), list: h("section", { class: "card" }) };
let bar;
let opened;
let asked = 0;

async function start() {
  replace(page, parts.filters, parts.tools, parts.list);
  bar = new FilterBar(parts.filters, [], () => update(0));
  const name = h("input", { type: "search", value: here().name ?? "", oninput: later((event) => (keepHere({ name: event.target.value }), update(0))) });
  const sort = h(
    "select",
    { onchange: (event) => (keepHere({ sort: event.target.value }), update(0)) },
    [["events", "most events"], ["time", "time"], ["name", "name"], ["duration", "length"], ["failed", "failed first"]].map(([value, text]) => h("option", { value, selected: (here().sort ?? "events") === value }, text)),
  );
  replace(parts.tools, h("label", { class: "inline" }, "Name holds ", name), h("label", { class: "inline" }, "Order by ", sort));
  await update();
}

async function update(first = Number(here().first ?? 0)) {
  keepHere({ first: first || null });
  const turn = (asked += 1);
  await showing(parts.list, async () => {
    const found = await ask(`/api/${tables()}/recordings`, { filter: bar.text, sort: here().sort, name: here().name, first });
    if (turn !== asked) return;
    draw(found);
    announce(countNoun(found.total, "recording"));
  });
}

function draw({ recordings, total, first, page: size }) {
  const last = Math.min(total, first + size);
  const turn = (text, to, possible) => h("button", { type: "button", disabled: !possible, onclick: () => update(to) }, text);
  replace(
    parts.list,
    h("h2", {}, total ? `${count(first + 1)} to ${count(last)} of ${countNoun(total, "recording")}` : "No recording fits the filter"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Recordings" },
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, ["recording", "events", "highest score", "length", `began (${opened.timezone})`, "group"].map((name, place) => h("th", { scope: "col", class: place && place < 4 ? "number" : null }, name)))),
        h("tbody", {}, recordings.map(row)),
      ),
    ),
    total > size ? h("p", { class: "toolbar" }, turn("Back", Math.max(0, first - size), first > 0), turn("On", first + size, last < total)) : null,
  );
}

function row(one) {
  const link = h("a", { class: "uri", href: address("/recording", { tables: tables(), filter: bar.text, file: one.file }) }, one.uri);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, link, one.failed ? h("div", { class: "note" }, `Failed: ${one.error}`) : null),
    h("td", { class: "number" }, count(one.events)),
    h("td", { class: "number" }, one.peak === null ? "–" : one.peak.toFixed(2)),
    h("td", { class: "number" }, one.duration_s === null ? "–" : clock(one.duration_s, 0)),
    h("td", {}, one.recorded_at === null ? "unknown" : moment(one.recorded_at, opened.timezone)),
    h("td", { class: "uri" }, one.group ?? ""),
  );
}

function later(act) {
  let timer;
  return (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(event), 250);
  };
}

opened = await showing(page, () => openPage(() => update()));
if (opened) await showing(page, start);
