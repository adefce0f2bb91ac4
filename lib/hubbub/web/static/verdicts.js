// What the verdicts give: precision by class and score, thresholds for a wanted precision, recall, agreement.

import { address, ask, here, keepHere, tables, tell } from "./api.js";
import { intervalChart } from "./charts.js";
import { count, countNoun, h, percent, replace } from "./dom.js";
import { announce, openPage, showing } from "./shell.js";

const page = document.querySelector("#page");
const parts = { tools: h("div", { class: "toolbar" }), list: h("div") };
let own;

async function start() {
  replace(page, parts.tools, parts.list);
  const wanted = h("input", { type: "number", id: "precision", min: "0.5", max: "0.99", step: "0.01", value: here().precision ?? "0.9", onchange: (event) => event.target.reportValidity() && (keepHere({ precision: event.target.value }), update()) });
  replace(parts.tools, h("label", { class: "inline" }, "Thresholds for a precision of ", wanted), h("button", { type: "button", onclick: update }, "Read again"), h("a", { href: address("/review", { tables: tables() }) }, "Review more"));
  await update();
}

async function update() {
  await showing(parts.list, async () => {
    const told = await ask(`/api/${tables()}/verdicts`, { precision: here().precision ?? "0.9" });
    draw(told);
    announce(`${countNoun(told.decisions, "decision")} read`);
    page.dataset.ready = "1";
  });
}

function draw(told) {
  if (!told.decisions) return replace(parts.list, h("section", { class: "card" }, h("h2", {}, "No verdict yet"), h("p", {}, h("a", { href: address("/review", { tables: tables() }) }, "Review events"), ": twenty of a class are enough for a first threshold.")));
  const suggested = Object.fromEntries(told.labels.filter((one) => one.threshold?.threshold !== null && one.threshold !== null).map((one) => [one.label, one.threshold.threshold]));
  return replace(
    parts.list,
    h("p", { class: "note" }, `${countNoun(told.decisions, "decision")} in ${told.path}, of ${told.reviewers.map(([name, n]) => `${name} (${count(n)})`).join(", ")}.`),
    h("section", { class: "card" }, h("h2", {}, "By class"), table(told), actions(told, suggested)),
    told.labels.map((one) => detail(one, told)),
    told.agreement.length ? agreement(told.agreement) : null,
  );
}

function table(told) {
  const heads = ["class", "verdicts", "right", "precision now", "95 %", "threshold now", `for ${percent(told.wanted)}`, "95 %", "events kept", "recall of windows"];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Verdicts by class" },
    h(
      "table",
      { class: "plain" },
      h("thead", {}, h("tr", {}, heads.map((name, place) => h("th", { scope: "col", class: place ? "number" : null }, name)))),
      h("tbody", {}, told.labels.map((one) => {
        const { above, threshold, recall } = one;
        const cells = [
          count(one.reviewed),
          count(one.right),
          above?.judged ? percent(above.right / above.judged) : "–",
          above?.judged ? between(above.interval, percent) : "–",
          threshold ? score(threshold.present) : "–",
          score(threshold?.threshold),
          threshold?.low !== null && threshold?.low !== undefined ? `${score(threshold.low)} to ${threshold.high === null ? "none" : score(threshold.high)}` : "–",
          threshold?.threshold ? `${count(threshold.kept)} of ${count(threshold.events)}` : "–",
          recall?.value !== null && recall?.value !== undefined ? `${percent(recall.value)} (${between(recall.interval, percent)})` : "–",
        ];
        return h("tr", {}, h("th", { scope: "row" }, one.label), cells.map((text) => h("td", { class: "number" }, text)));
      })),
    ),
  );
}

const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const between = (interval, text) => (interval ? `${text(interval.low)} to ${text(interval.high)}` : "–");

function actions(told, suggested) {
  const saved = h("div", { role: "status" });
  const save = async () => {
    const answer = await showing(saved, () => tell(`/api/${tables()}/rules`, { thresholds: suggested }));
    if (answer) replace(saved, h("p", {}, `Saved ${answer.path}. These events come of it:`), h("code", { class: "command" }, answer.command));
  };
  return [
    h("p", {}, h("button", { type: "button", class: "primary", id: "save", disabled: !Object.keys(suggested).length, onclick: save }, "Save as rules"), " ", h("span", { class: "note" }, Object.keys(suggested).length ? `Thresholds of ${countNoun(Object.keys(suggested).length, "class").replace("classs", "classes")}; the others stay.` : "No class has a threshold for this precision yet; why is told below.")),
    saved,
    h("p", { class: "note" }, "The same in the shell, and the verdicts as a clip table for training:"),
    h("code", { class: "command" }, `hubbub events ${own.path} --from-reviews --precision ${told.wanted}`),
    h("code", { class: "command" }, `hubbub index ${told.path} -o reviewed.parquet`),
  ];
}

function detail(one, told) {
  const ranges = one.ranges.map((range) => ({ low: range.low, high: range.high, n: range.share.judged, share: range.share.judged ? range.share.right / range.share.judged : 0, from: range.share.interval.low, to: range.share.interval.high }));
  const { threshold, recall } = one;
  const others = one.others.map(([label, n]) => `${label} (${count(n)})`).join(", ");
  return h(
    "section",
    { class: "card" },
    h("h2", {}, one.label),
    h("p", { class: "note" }, `${countNoun(one.reviewed, "event")} judged: ${count(one.right)} right, ${count(one.wrong)} wrong, ${count(one.unsure)} unsure, ${count(one.tied)} on which reviewers are divided.`, others ? ` What wrong ones are: ${others}.` : ""),
    one.reviewed ? [h("h3", {}, "Share that is right, by score"), intervalChart(ranges, `Precision of ${one.label} by score: ${ranges.filter((range) => range.n).map((range) => `${range.low.toFixed(1)} to ${range.high.toFixed(1)} ${percent(range.share)}`).join(", ")}`)] : null,
    threshold?.threshold ? h("p", {}, `At a threshold of ${score(threshold.threshold)} an expected ${percent(threshold.expected)} of the ${count(threshold.kept)} events are right${threshold.expected_interval ? ` (95 %: ${between(threshold.expected_interval, percent)})` : ""}; at ${score(threshold.present)} now, ${percent(threshold.expected_now)}.`) : null,
    threshold?.reason ? h("p", { class: "notice" }, threshold.reason) : null,
    recall ? h("p", {}, recall.value === null ? recall.reason : `Of the windows with ${one.label} an estimated ${percent(recall.value)} (95 %: ${between(recall.interval, percent)}) score ${score(recall.threshold)} or more, by ${countNoun(recall.judged, "window")} judged${told.window_units && told.window_units[0] < told.window_units[1] ? ` and the scores of ${count(told.window_units[0])} of ${count(told.window_units[1])} parts` : ""}.`) : h("p", { class: "note" }, "Recall needs windows of any score judged: review windows of this class."),
  );
}

function agreement(pairs) {
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Where reviewers agree"),
    h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["reviewers", "judged by both", "agree", "Cohen's kappa"].map((name, place) => h("th", { scope: "col", class: place ? "number" : null }, name)))), h("tbody", {}, pairs.map((pair) => h("tr", {}, h("th", { scope: "row" }, `${pair.first} and ${pair.second}`), [count(pair.judged), percent(pair.judged ? pair.agreed / pair.judged : null), pair.kappa === null ? "–" : pair.kappa.toFixed(2)].map((text) => h("td", { class: "number" }, text)))))),
  );
}

own = await showing(page, () => openPage());
if (own) await showing(page, start);
