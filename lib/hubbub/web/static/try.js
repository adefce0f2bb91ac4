// The page of hubbub try: takes recordings from files and the microphone, and shows what each model says of them.

import { ask, Refusal } from "./api.js";
import { clock, count, countNoun, h, replace, span } from "./dom.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { announce, showing } from "./shell.js";
import { TrialPanel } from "./trial.js";

const LOOK_MS = 400;
const place = Object.fromEntries(["masthead", "status", "give", "problems", "sounds", "page"].map((name) => [name, document.querySelector(`#${name}`)]));

let room;
let shown = null; // the recording that is looked at: {key, told, panels, player}
let recorder = null;

function complain(text) {
  const held = [...place.problems.children].map((line) => line.dataset.text);
  if (held.includes(text)) return;
  const line = h("p", { class: "problem", role: "alert", "data-text": text }, text, " ", h("button", { type: "button", onclick: () => line.remove() }, "Dismiss"));
  place.problems.append(line);
  while (place.problems.children.length > 5) place.problems.firstChild.remove();
}

function drawMasthead() {
  const names = room.models.map((model) => model.name).join(", ");
  document.title = `${names} · hubbub try`;
  replace(place.masthead, h("a", { class: "skip", href: "#main" }, "Skip to the content"), h("strong", { class: "brand" }, "hubbub try"), h("span", { class: "switch" }, names));
}

function drawStatus() {
  const loading = room.models.filter((model) => model.state === "loading").map((model) => model.name);
  const failed = room.models.filter((model) => model.state === "failed");
  replace(place.status, loading.length ? h("p", { class: "notice", id: "loading" }, `Loading ${loading.join(", ")} … Recordings may be given already.`) : null, failed.map((model) => h("p", { class: "problem" }, `${model.name} cannot be used: ${model.error}`)));
}

async function followModels() {
  while (room.models.some((model) => model.state === "loading")) {
    await pause(LOOK_MS);
    try {
      room = await ask("/api/try");
    } catch (error) {
      complain(error.message);
      await pause(4 * LOOK_MS);
    }
    drawStatus();
  }
}

function drawGive() {
  const files = h("input", { type: "file", multiple: true, id: "files", "aria-label": "Choose recordings", onchange: (event) => send([...event.target.files]).then(() => (event.target.value = "")) });
  const can = Recorder.isPossible;
  const record = h("button", { type: "button", id: "record", disabled: !can, onclick: toggleRecording }, "Record");
  const box = h(
    "div",
    { class: "card drop", id: "drop" },
    h("p", { class: "lead" }, "Drop recordings here"),
    h("div", { class: "ways" }, h("span", { class: "pick" }, h("span", { "aria-hidden": "true" }, "Choose files"), files), record, h("span", { id: "level", hidden: true })),
    h("p", { class: "note" }, `They stay on the machine that runs hubbub, and are removed when it ends. Up to ${count(room.most_bytes / 1e6)} MB each.${can ? "" : " The microphone needs an address of this machine, such as http://127.0.0.1."}`),
  );
  replace(place.give, box);
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]])
    document.addEventListener(name, (event) => {
      event.preventDefault();
      box.classList.toggle("over", over);
      if (name === "drop") send([...(event.dataTransfer?.files ?? [])]);
    });
}

async function toggleRecording() {
  const button = document.querySelector("#record");
  const level = document.querySelector("#level");
  if (recorder) {
    const ended = recorder;
    recorder = null;
    button.textContent = "Record";
    button.classList.remove("recording");
    level.hidden = true;
    const file = await ended.stop();
    if (file) await send([file]);
    else complain("Nothing was recorded: the microphone gave no sound.");
    return;
  }
  const meter = h("meter", { min: "0", max: "1", "aria-label": "Loudness", value: 0 });
  const time = h("span", { class: "number" }, clock(0, 0));
  recorder = new Recorder({
    mostBytes: room.most_bytes,
    onSamples: (seconds, peak) => {
      time.textContent = clock(seconds, 0);
      meter.value = Math.max(peak, meter.value * 0.93);
    },
    onFull: () => recorder && toggleRecording(),
  });
  try {
    button.disabled = true;
    await recorder.start();
    replace(level, meter, " ", time);
    level.hidden = false;
    button.textContent = "Stop and score";
    button.classList.add("recording");
  } catch (error) {
    await recorder.stop().catch(() => {});
    recorder = null;
    complain(error.name === "NotAllowedError" ? "The browser keeps the microphone from this page; allow it beside the address, then press Record again." : `The microphone cannot be used: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

async function send(files) {
  for (const file of files) {
    if (file.size > room.most_bytes) {
      complain(`${file.name} is larger than ${count(room.most_bytes / 1e6)} MB; hubbub try --max-size MB takes more.`);
      continue;
    }
    announce(`Sending ${file.name}`);
    try {
      const kept = await ask("/api/try/sounds", { name: file.name }, { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } });
      room = await ask("/api/try");
      await open(kept.key);
    } catch (error) {
      complain(`${file.name}: ${error.message}`);
    }
  }
}

function drawSounds() {
  replace(place.sounds, room.sounds.length > 1 ? h("ul", { class: "sounds", "aria-label": "Recordings" }, room.sounds.map((sound) => h("li", {}, h("button", { type: "button", "aria-pressed": String(sound.key === shown?.key), onclick: () => showing(place.page, () => open(sound.key)) }, sound.name)))) : null);
}

async function open(key) {
  const base = `/api/try/sounds/${key}`;
  const told = await ask(base);
  shown?.player?.stop();
  const colours = [...new Set(room.models.flatMap((model) => model.labels))];
  const now = { key, told, player: null, span: null, moving: false, announced: new Set() };
  shown = now;
  now.player = told.problem ? null : new Player(base, { rate: told.sample_rate, duration: told.duration_s, onEnd: drawTools, onProblem: complain });
  const on = {
    span: () => now.span,
    onMove: (panel, start, length) => moveAll(now, panel, start, length),
    onListen: listen,
    onProblem: complain,
    onFound: (panel, total) => {
      if (now.announced.has(panel)) return;
      now.announced.add(panel);
      announce(`${panel.model.name}: ${countNoun(total, "event")} in ${told.uri}`);
    },
  };
  now.panels = room.models.map((model, number) => new TrialPanel(model, number, { base, told, colours, on }));
  const facts = told.problem ? [] : [span(told.duration_s), `${told.sample_rate} Hz`, countNoun(told.channels, "channel")];
  replace(place.page, h("h2", { id: "name" }, told.uri), h("p", { class: "note" }, facts.join(" · ")), h("div", { id: "tools" }), h("div", { class: "panels" }, now.panels.map((panel) => panel.box)));
  drawSounds();
  drawTools();
  window.hubbub = now; // for tests and for the curious
  follow(now, base);
}

/** Ask again until every model is done with it. */
async function follow(now, base) {
  let told = now.told;
  for (;;) {
    now.panels.forEach((panel, number) => panel.update(told.trials[number], room.models[number]));
    if (shown !== now || told.trials.every((trial) => trial.state === "done" || trial.state === "failed")) return;
    await pause(LOOK_MS);
    try {
      told = await ask(base);
    } catch (error) {
      complain(error.message);
      if (error instanceof Refusal && error.status) return;
      await pause(4 * LOOK_MS);
    }
  }
}

function moveAll(now, panel, start, length) {
  if (now.moving) return;
  now.moving = true;
  now.span = { start, length };
  for (const other of now.panels) if (other !== panel) other.view?.show(start, length);
  now.moving = false;
}

const views = () => shown.panels.map((panel) => panel.view).filter(Boolean);

function listen(seconds) {
  for (const view of views()) view.setCursor(seconds);
  const first = views()[0];
  if (first && (seconds < first.start || seconds > first.start + first.length)) first.show(seconds - first.length / 2, first.length);
  shown.player?.play(seconds);
  drawTools();
}

function toggle() {
  const { player } = shown;
  if (!player) return;
  if (player.isPlaying) player.stop();
  else player.play(player.at >= shown.told.duration_s - 0.01 ? 0 : player.at);
  drawTools();
}

function drawTools() {
  const tools = document.querySelector("#tools");
  const { player, told } = shown;
  if (!tools || !player) return;
  const held = document.activeElement?.id;
  const zoom = (name, factor) => h("button", { type: "button", id: `zoom-${factor}`, onclick: () => views()[0]?.zoom(factor) }, name);
  const pick = (id, name, values, chosen, act) => h("label", { class: "inline" }, `${name} `, h("select", { id, onchange: (event) => act(event.target.value) }, values.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
  replace(
    tools,
    h(
      "div",
      { class: "toolbar" },
      h("button", { type: "button", class: "primary", id: "play", onclick: toggle }, player.isPlaying ? "Pause" : "Play"),
      h("span", { id: "position", class: "number" }, clock(player.position(), 1)),
      zoom("Zoom in", 0.5),
      zoom("Zoom out", 2),
      h("button", { type: "button", id: "whole", onclick: () => views()[0]?.show(0, told.duration_s) }, "Whole"),
      pick("scale", "Frequency in Hz", [["mel", "mel"], ["linear", "linear"]], shown.scale ?? "mel", (scale) => {
        shown.scale = scale;
        for (const view of views()) view.setScale(scale);
      }),
      h("label", { class: "inline" }, "Volume ", h("input", { type: "range", id: "volume", min: "0", max: "4", step: "0.1", oninput: (event) => player.setVolume(Number(event.target.value)), value: String(player.volume) })),
    ),
  );
  if (held) document.getElementById(held)?.focus();
}

function followCursor() {
  if (shown?.player?.isPlaying) {
    const at = shown.player.position();
    for (const view of views()) view.setCursor(at);
    const first = views()[0];
    if (first && at > first.start + first.length) first.show(first.start + first.length, first.length);
    const position = document.querySelector("#position");
    if (position) position.textContent = clock(at, 1);
  }
  requestAnimationFrame(followCursor);
}

const pause = (ms) => new Promise((go) => setTimeout(go, ms));

document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !shown?.player || /^(BUTTON|INPUT|SELECT|SUMMARY|A)$/.test(event.target.tagName)) return;
  event.preventDefault();
  toggle();
});

await showing(place.page, async () => {
  room = await ask("/api/try");
  drawMasthead();
  drawStatus();
  drawGive();
  const last = room.sounds[room.sounds.length - 1];
  if (last) await open(last.key);
});
document.body.dataset.ready = "true";
if (room) {
  followModels();
  requestAnimationFrame(followCursor);
}
