// One recording: spectrogram, events, truth, score curves, and sound from anywhere.

import { ask, here, keepHere, tables } from "./api.js";
import { clock, colour, count, countNoun, h, moment, replace, span } from "./dom.js";
import { Player } from "./player.js";
import { announce, openPage, showing } from "./shell.js";
import { Spectrogram } from "./spectrogram.js";

const page = document.querySelector("#page");
const CURVES = 4;
const LISTED = 200;

let own;

async function start() {
  const file = here().file ?? "";
  const base = `/api/${tables()}/recordings/${encodeURIComponent(file)}`;
  const told = await ask(base);
  document.querySelector("h1").textContent = told.uri;
  document.title = `${told.uri} · hubbub`;
  const parts = Object.fromEntries(["facts", "problem", "tools", "viewer", "labels", "events"].map((name) => [name, h("div", { id: name })]));
  replace(page, parts.facts, parts.problem, h("section", { class: "card" }, parts.tools, parts.viewer, parts.labels), h("section", { class: "card" }, parts.events));
  drawFacts(parts.facts, told);
  const failed = told.clips.filter((clip) => clip.status !== "ok");
  parts.viewer.parentElement.hidden = !told.duration_s;
  replace(parts.problem, told.problem && !failed.length ? h("p", { class: "problem", role: "alert" }, told.problem) : null, failed.map((clip) => h("p", { class: "problem" }, `Not analysed: ${clip.error}`)));

  const seen = new Set();
  const problem = (text) => {
    if (seen.has(text) || seen.size > 3) return;
    seen.add(text);
    parts.problem.append(h("p", { class: "problem", role: "alert" }, text));
  };
  const view = new Spectrogram(parts.viewer, base, told, {
    labels: own.labels,
    onMove: later(() => load()),
    onPick: (seconds) => listen(seconds),
    onProblem: problem,
  });
  const player = told.problem ? null : new Player(base, { rate: told.sample_rate, duration: told.duration_s, onEnd: () => drawTools(), onProblem: problem });
  let chosen = (here().show ?? "").split("\n").filter((label) => own.labels.includes(label));

  const wanted = Number(here().at);
  const length = Number(here().span) || Math.min(told.duration_s, 3600);
  if (Number.isFinite(wanted) && here().at) view.show(wanted - length / 2, length);
  else view.show(0, length);
  if (here().at) view.setCursor(wanted);
  drawTools();
  await load();
  if (player) requestAnimationFrame(follow);
  window.hubbub = { view, player }; // for tests and for the curious

  function listen(seconds) {
    view.setCursor(seconds);
    keepHere({ at: seconds.toFixed(2) });
    player?.play(seconds);
    drawTools();
  }

  function follow() {
    if (player.isPlaying) {
      const at = player.position();
      view.setCursor(at);
      if (at > view.start + view.length) view.show(view.start + view.length, view.length);
      document.querySelector("#position").textContent = clock(at, 1);
    }
    requestAnimationFrame(follow);
  }

  function toggle() {
    if (player.isPlaying) player.stop();
    else player.play(view.cursor ?? view.start);
    drawTools();
  }

  function drawTools() {
    const playing = player?.isPlaying;
    const zoom = (name, factor) => h("button", { type: "button", onclick: () => view.zoom(factor, view.cursor !== null && view.cursor >= view.start && view.cursor <= view.start + view.length ? view.cursor : undefined) }, name);
    const held = document.activeElement?.id;
    replace(
      parts.tools,
      h(
        "div",
        { class: "toolbar" },
        player ? h("button", { type: "button", class: "primary", id: "play", onclick: toggle }, playing ? "Pause" : "Play") : null,
        h("span", { id: "position", class: "number" }, clock(player?.position() ?? 0, 1)),
        zoom("Zoom in", 0.5),
        zoom("Zoom out", 2),
        h("button", { type: "button", onclick: () => view.show(0, told.duration_s) }, "Whole"),
        view.tiles ? h("label", { class: "inline" }, "Frequency ", h("select", { onchange: (event) => view.setScale(event.target.value) }, told.scales.map((scale) => h("option", { value: scale, selected: view.tiles.scale === scale }, scale === "store" ? "the store's bands" : scale)))) : null,
        player ? h("label", { class: "inline" }, "Slower ", h("select", { title: "Slower and lower: for bats and insects", onchange: (event) => slower(Number(event.target.value)) }, [1, 2, 4, 8, 16].map((slow) => h("option", { value: String(slow), selected: player.slow === slow }, slow === 1 ? "no" : `${slow} x`)))) : null,
        player ? h("label", { class: "inline" }, "Volume ", h("input", { type: "range", min: "0", max: "4", step: "0.1", value: String(player.volume), oninput: (event) => player.setVolume(Number(event.target.value)) })) : null,
      ),
    );
    if (held) document.getElementById(held)?.focus();
  }

  function slower(slow) {
    const at = player.position();
    const playing = player.isPlaying;
    player.stop();
    player.slow = slow;
    if (playing) player.play(at);
  }

  async function load() {
    const [from, to] = [view.start, view.start + view.length];
    keepHere({ at: (view.cursor ?? from + view.length / 2).toFixed(2), span: view.length.toFixed(2) });
    await showing(parts.events, async () => {
      const margin = view.length / 2;
      const found = await ask(`${base}/events`, { start: Math.max(0, from - margin), end: to + margin, filter: here().filter });
      view.events = found.events;
      view.truth = found.truth;
      if (!here().show) chosen = mostFrequent(found.events);
      drawLabels();
      drawEvents(found, from, to);
      view.draw();
      await loadCurves(from, to);
    });
  }

  async function loadCurves(from, to) {
    if (!chosen.length) {
      view.curves = null;
      return view.draw();
    }
    const columns = Math.min(1200, Math.max(50, Math.round(view.width)));
    const found = await ask(`${base}/curves`, { start: from, end: to, columns, label: chosen }).catch((error) => problem(error.message));
    if (!found) return undefined;
    view.curves = Object.entries(found.curves).map(([label, scores]) => [label, { scores, threshold: own.rules[label]?.needed_peak ?? 0.5, start: found.start_s, end: found.end_s }]);
    return view.draw();
  }

  function mostFrequent(events) {
    const counts = new Map();
    for (const event of events) if (own.labels.includes(event.label)) counts.set(event.label, (counts.get(event.label) ?? 0) + 1);
    const first = [...counts].sort((a, b) => b[1] - a[1]).map(([label]) => label);
    return (first.length ? first : own.labels).slice(0, CURVES);
  }

  function drawLabels() {
    const shown = own.labels.length > 40 ? own.labels.filter((label) => chosen.includes(label) || view.events.some((event) => event.label === label)) : own.labels;
    const pick = (label) => {
      chosen = chosen.includes(label) ? chosen.filter((other) => other !== label) : [...chosen, label];
      keepHere({ show: chosen.join("\n") });
      loadCurves(view.start, view.start + view.length);
    };
    replace(
      parts.labels,
      h("fieldset", { class: "swatches" }, h("legend", {}, "Score curves; the dashed line is the threshold"), shown.map((label) => h("label", {}, h("input", { type: "checkbox", checked: chosen.includes(label), onchange: () => pick(label) }), h("span", { class: "swatch", "aria-hidden": "true", style: { background: colour(own.labels.indexOf(label)) } }), label))),
      view.tiles && told.sampled_from !== null && view.length / view.width > 2 ** told.sampled_from / told.tile_columns ? h("p", { class: "note" }, "At this zoom each column shows some moments of its time alone: a short sound may not be seen.") : null,
    );
  }

  function drawEvents(found, from, to) {
    const inside = found.events.filter((event) => event.offset_s > from && event.onset_s < to);
    replace(
      parts.events,
      h("h2", {}, `${countNoun(inside.length, "event")} from ${clock(from, 0)} to ${clock(to, 0)}`),
      found.total > found.events.length ? h("p", { class: "note" }, `${count(found.total)} lie there; the ${count(found.events.length)} of the highest score are drawn. Zoom in for the others.`) : null,
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" },
        h(
          "table",
          { class: "plain" },
          h("thead", {}, h("tr", {}, ["class", "from", "to", "peak", "mean", ""].map((name, place) => h("th", { scope: "col", class: place && place < 5 ? "number" : null }, name || h("span", { class: "hidden" }, "listen"))))),
          h("tbody", {}, inside.slice(0, LISTED).map((event) => h("tr", {}, h("th", { scope: "row" }, event.label), [clock(event.onset_s), clock(event.offset_s), event.peak.toFixed(2), event.mean.toFixed(2)].map((text) => h("td", { class: "number" }, text)), h("td", {}, h("button", { type: "button", disabled: !player, "aria-label": `Listen to ${event.label} at ${clock(event.onset_s)}`, onclick: () => go(event) }, "Listen"))))),
        ),
      ),
      inside.length > LISTED ? h("p", { class: "note" }, `The first ${LISTED} are listed.`) : null,
    );
  }

  function go(event) {
    if (event.onset_s < view.start || event.offset_s > view.start + view.length) view.show(event.onset_s - view.length / 2, view.length);
    listen(Math.max(0, event.onset_s - 0.5));
    announce(`${event.label} at ${clock(event.onset_s)}`);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !player || /^(BUTTON|INPUT|SELECT|SUMMARY|A)$/.test(event.target.tagName)) return;
    event.preventDefault();
    toggle();
  });
}

function drawFacts(place, told) {
  const carried = Object.entries(told.columns).filter(([, value]) => value !== null && typeof value !== "object");
  const began = told.recorded_at === null ? "began at an unknown time" : `began ${moment(told.recorded_at, own.timezone)} (${own.timezone})`;
  replace(place, h("p", { class: "note" }, [span(told.duration_s), told.sample_rate ? `${told.sample_rate} Hz` : null, told.channels ? countNoun(told.channels, "channel") : null, began, ...carried.map(([name, value]) => `${name}: ${value}`)].filter(Boolean).join(" · ")));
}

function later(act) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, 120);
  };
}

own = await showing(page, () => openPage());
if (own) await showing(page, start);
