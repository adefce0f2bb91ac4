// Review by keyboard: one event at a time, the next ones ready before they are asked for, every verdict kept at once.

import { ask, here, keepHere, tables, tell } from "./api.js";
import { clock, count, countNoun, h, moment, replace } from "./dom.js";
import { FilterBar } from "./filters.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { announce, openPage, showing } from "./shell.js";
import { Spectrogram } from "./spectrogram.js";

const page = document.querySelector("#page");
const AHEAD = 4; // cards whose picture and sound are fetched
const CONTEXT_S = 2;
const LONGEST_S = 20; // of an event that is shown and played
const ORDERS = [["balanced", "balanced over scores"], ["best", "highest scores"], ["worst", "lowest scores"], ["random", "at random"]];
const state = { cards: [], done: [], judged: 0, dealing: null, empty: false, seed: Math.floor(Math.random() * 1e9), prepared: new Map(), turn: 0, reviewer: sessionStorage.getItem("hubbub-reviewer") ?? localStorage.getItem("hubbub-reviewer") ?? "" };
const parts = Object.fromEntries(["filters", "tools", "trouble", "card"].map((name) => [name, h("div", { id: name })]));
let own;
let bar;

async function start() {
  replace(page, h("details", { class: "filters" }, h("summary", {}, "Which events"), parts.filters), parts.tools, parts.trouble, h("section", { class: "card" }, parts.card));
  bar = new FilterBar(parts.filters, [], () => restart());
  state.queue = new Queue((data) => tell(`/api/${tables()}/verdicts/${data.undo ? "undo" : "add"}`, data), drawTrouble, own.path);
  await state.queue.adopt();
  drawTools();
  document.addEventListener("keydown", key);
  window.addEventListener("beforeunload", (event) => state.queue.length && event.preventDefault());
  window.hubbub = state;
  if (reviewer()) await restart();
  else askName();
}

// Of this tab: another tab may be another person's, and its name must not come under these verdicts.
const reviewer = () => state.reviewer;
const order = () => here().order ?? "balanced";
const kind = () => here().kind ?? "event";

function askName() {
  state.shown?.player.stop();
  state.shown = null; // its keys decide nothing while somebody else sits down
  const name = h("input", { type: "text", id: "name", maxlength: "60", autocomplete: "name" });
  const keep = (event) => {
    event.preventDefault();
    if (!name.value.trim()) return;
    state.reviewer = name.value.trim();
    for (const storage of [sessionStorage, localStorage]) storage.setItem("hubbub-reviewer", state.reviewer);
    drawTools();
    restart();
  };
  replace(parts.card, h("form", { onsubmit: keep }, h("h2", {}, "Who decides?"), h("p", { class: "note" }, "Every verdict is kept with a name and its time, so that several people can review the same events and see where they agree."), h("label", { class: "inline" }, "Your name ", name), " ", h("button", { type: "submit", class: "primary" }, "Begin")));
  name.focus();
}

/** Whether a box is ticked, as it is at first; this browser remembers it. */
const isTicked = (name) => localStorage.getItem(`hubbub-${name}`) !== "no";

function choice(name, text, then = () => {}) {
  const keep = (event) => {
    event.target.blur(); // so that the keys decide again
    localStorage.setItem(`hubbub-${name}`, event.target.checked ? "yes" : "no");
    then();
  };
  return h("label", { class: "inline" }, h("input", { type: "checkbox", id: name, checked: isTicked(name), onchange: keep }), text);
}

function drawTools() {
  const change = (values) => {
    document.activeElement?.blur(); // so that the keys decide, and do not choose
    keepHere(values);
    drawTools();
    restart();
  };
  const label = here().label ?? "";
  replace(
    parts.tools,
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "inline" }, "Class ", h("select", { id: "class", onchange: (event) => change({ label: event.target.value }) }, kind() === "event" ? h("option", { value: "", selected: !label }, "all in the filter") : null, own.labels.map((one) => h("option", { value: one, selected: one === label }, one)))),
      h("label", { class: "inline" }, "What ", h("select", { id: "kind", onchange: (event) => change({ kind: event.target.value, label: event.target.value === "window" ? label || own.labels[0] : label }) }, [["event", "events"], ["window", "windows of any score, for recall"]].map(([value, text]) => h("option", { value, selected: value === kind() }, text)))),
      kind() === "event" ? h("label", { class: "inline" }, "Order ", h("select", { id: "order", onchange: (event) => change({ order: event.target.value }) }, ORDERS.map(([value, text]) => h("option", { value, selected: value === order() }, text)))) : null,
      choice("autoplay", "Play at once"),
      choice("scores", "Show scores", () => state.shown && drawCard(state.shown)),
      h("span", { class: "progress", id: "progress" }),
      reviewer() ? h("button", { type: "button", onclick: askName }, `Reviewer: ${reviewer()}`) : null,
    ),
  );
}

async function restart() {
  state.turn += 1;
  state.shown?.player.stop();
  Object.assign(state, { cards: [], done: [], empty: false, dealing: null });
  state.prepared.clear();
  await deal();
  next();
}

/** Fetch more cards, when few are left. */
function deal() {
  if (state.dealing || state.empty || state.cards.length > 20) return state.dealing;
  const turn = state.turn;
  const label = here().label;
  const filter = { ...bar.filter, ...(label && kind() === "event" ? { labels: [label] } : {}) };
  const skip = [...state.cards, ...state.done.slice(-60)].map((card) => card.event).join(",");
  state.dealing = ask(`/api/${tables()}/cards`, { filter: JSON.stringify(filter), order: order(), kind: kind(), label, count: 40, seed: state.seed, reviewer: reviewer(), skip })
    .then(({ cards, left, judged }) => {
      if (turn !== state.turn) return;
      Object.assign(state, { left, judgedBefore: judged - state.judged + state.queue.length, judgedAtDeal: state.judged - state.queue.length });
      state.cards.push(...cards);
      state.empty = cards.length === 0;
      state.dealing = null;
      prepare();
    })
    .catch((error) => {
      state.dealing = null;
      drawTrouble([], error.message);
    });
  return state.dealing;
}

/** Ask for what the next cards need, so that they are there at once. */
function prepare() {
  for (const card of state.cards.slice(0, AHEAD)) if (!state.prepared.has(card.event)) state.prepared.set(card.event, describe(card));
  for (const event of [...state.prepared.keys()]) if (!state.cards.slice(0, AHEAD).some((card) => card.event === event) && event !== state.shown?.card.event) state.prepared.delete(event);
}

async function describe(card) {
  const base = `/api/${tables()}/recordings/${card.file}`;
  const told = await ask(base);
  const from = Math.max(0, card.onset_s - CONTEXT_S);
  const to = Math.min(told.duration_s, Math.min(card.offset_s, card.onset_s + LONGEST_S) + CONTEXT_S);
  const place = h("div");
  const player = new Player(base, { rate: told.sample_rate, duration: told.duration_s, onProblem: (text) => note(place, text) });
  const context = await (told.problem ? null : ask(`${base}/events`, { start: from, end: to }));
  if (!told.problem) player.prefetch(from, to).catch(() => {});
  const view = new Spectrogram(place, base, told, { labels: own.labels, fixed: true, onPick: (seconds) => player.play(seconds, to), onProblem: (text) => note(place, text) });
  if (told.problem) note(place, told.problem);
  return { card, told, place, player, view, from, to, events: context?.events ?? [] };
}

const note = (place, text) => place.append(h("p", { class: "problem" }, text));

async function next() {
  state.shown?.player.stop();
  deal();
  if (!state.cards.length) await state.dealing;
  const card = state.cards[0];
  if (!card) return drawEnd();
  prepare();
  const turn = state.turn;
  let shown;
  try {
    shown = await state.prepared.get(card.event);
  } catch (error) {
    return replace(parts.card, h("p", { class: "problem", role: "alert" }, error.message));
  }
  if (turn !== state.turn || state.cards[0] !== card) return undefined;
  state.shown = shown;
  drawCard(shown);
  requestAnimationFrame(function follow() {
    if (state.shown !== shown) return;
    if (shown.player.isPlaying) shown.view.setCursor(shown.player.position());
    requestAnimationFrame(follow);
  });
  if (isTicked("autoplay") && !shown.told.problem) shown.player.play(shown.from, shown.to);
  return undefined;
}

/** The classes of the keys 1 to 9: the same for every event, so that fingers learn them. */
const keyed = () => own.labels.slice(0, 9);

function drawCard({ card, told, place, view, from, to, events }) {
  view.events = isTicked("scores") ? events : events.map((event) => ({ ...event, peak: undefined }));
  const long = card.offset_s - card.onset_s > LONGEST_S;
  const answer = (name, verdict, letter) => h("button", { type: "button", class: verdict, id: `answer-${verdict}`, onclick: () => decide(verdict) }, name, " ", h("kbd", {}, letter));
  const more = own.labels.slice(9).filter((label) => label !== card.label);
  const question = card.kind === "window" ? ["Is there ", h("b", {}, card.label), " in it?"] : ["Is this ", h("b", {}, card.label), "?"];
  replace(
    parts.card,
    h(
      "div",
      { class: "review", "data-event": card.event },
      h("h2", { class: "question" }, question, isTicked("scores") ? h("span", { class: "soft" }, `score ${card.peak.toFixed(2)}`) : null),
      place,
      h("p", { class: "note" }, `${told.uri}, ${clock(card.onset_s)} to ${clock(card.offset_s)}`, card.recorded_at === null ? "" : ` · ${moment(card.recorded_at + 1e6 * card.onset_s, own.timezone)}`, long ? `; its first ${LONGEST_S} s` : "", card.group && card.group !== told.uri ? ` · ${card.group}` : ""),
      h("div", { class: "answers" }, answer("No", "no", "←"), answer("Unsure", "unsure", "↓"), answer("Yes", "yes", "→"), h("button", { type: "button", onclick: undo, disabled: !state.done.length }, "Undo ", h("kbd", {}, "↑"))),
      h(
        "div",
        { class: "others", role: "group", "aria-label": "It is another class" },
        h("span", { class: "note" }, "No, it is"),
        keyed().map((label, number) => h("button", { type: "button", disabled: label === card.label, onclick: () => decide("no", label) }, h("kbd", {}, number + 1), " ", label)),
        more.length ? h("label", { class: "inline" }, h("span", { class: "hidden" }, "another class"), h("select", { onchange: (event) => event.target.value && decide("no", event.target.value) }, h("option", { value: "" }, "another class …"), more.map((label) => h("option", { value: label }, label)))) : null,
        h("button", { type: "button", onclick: replay }, h("kbd", {}, "space"), " Play again"),
      ),
    ),
  );
  view.show(from, to - from);
  view.start = from;
  view.length = to - from;
  view.draw();
  drawProgress();
  page.dataset.card = card.event;
}

function drawProgress() {
  const place = document.querySelector("#progress");
  if (place) replace(place, [countNoun((state.judgedBefore ?? 0) + state.judged, "verdict"), " of yours", state.left === null || state.left === undefined ? "" : `, ${count(Math.max(0, state.left - (state.judged - (state.judgedAtDeal ?? 0))))} events left`, state.queue.length ? `, ${count(state.queue.length)} being kept` : ""]);
}

function drawEnd() {
  state.shown = null;
  delete page.dataset.card;
  replace(parts.card, h("h2", {}, state.judged ? "All of these have a verdict" : "No event fits"), h("p", { class: "note" }, state.judged ? "Choose another class, or see what the verdicts give." : "Choose another class, or a wider filter. Events that you have judged are not dealt again."));
  drawProgress();
}

function decide(verdict, label = null) {
  const shown = state.shown;
  if (!shown) return;
  const card = state.cards.shift();
  state.done.push(card);
  state.judged += 1;
  const said = label ?? (verdict === "yes" ? card.label : null);
  state.queue.push({ reviewer: reviewer(), file: card.file, clip_id: card.clip_id, event_label: card.label, onset_s: card.onset_s, offset_s: card.offset_s, score: card.peak, kind: card.kind ?? "event", source: card.kind === "window" ? "balanced" : order(), verdict, label: said, event: card.event });
  announce(`${card.label}: ${label ? `it is ${label}` : verdict}`);
  next();
}

function undo() {
  const card = state.done.pop();
  if (!card) return;
  state.judged -= 1;
  state.cards.unshift(card);
  state.queue.push({ reviewer: reviewer(), event: card.event, undo: true });
  announce(`undone: ${card.label}`);
  next();
}

function replay() {
  const shown = state.shown;
  if (shown && !shown.told.problem) shown.player.play(shown.from, shown.to);
}

function drawTrouble(waiting, message) {
  replace(parts.trouble, message ? h("p", { class: "problem", role: "alert" }, waiting.length ? `${countNoun(waiting.length, "verdict")} not kept yet: ${message} They are tried again until they are; leave this page open.` : message) : null);
  drawProgress();
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return; // which presses it
  const act = { ArrowRight: () => decide("yes"), ArrowLeft: () => decide("no"), ArrowDown: () => decide("unsure"), ArrowUp: undo, " ": replay }[event.key];
  const other = /^[1-9]$/.test(event.key) && state.shown ? keyed()[Number(event.key) - 1] : null;
  if (!act && !other) return;
  event.preventDefault();
  if (event.repeat) return;
  if (act) act();
  else if (other === state.shown.card.label) decide("yes");
  else decide("no", other);
}

own = await showing(page, () => openPage((now) => (own = now)));
if (own) await showing(page, start);
