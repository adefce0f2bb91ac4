// What every page has: masthead, navigation, the switch between tables, and how far they are read.

import { address, ask, here, Refusal, tables } from "./api.js";
import { count, countNoun, h, replace } from "./dom.js";

const PAGES = [
  ["/", "Overview"],
  ["/recordings", "Recordings"],
  ["/review", "Review"],
  ["/verdicts", "Verdicts"],
];
const LOOK_MS = 4000;

/** Build the page around `main`; returns what the server says of the tables. `onChange` is called when they grow. */
export async function openPage(onChange) {
  const all = await ask("/api/tables");
  const own = all[tables()] ?? all[0];
  const shared = { tables: tables(), filter: here().filter };
  const links = PAGES.map(([path, name]) =>
    h("a", { href: address(path, shared), "aria-current": isHere(path) ? "page" : null }, name),
  );
  const chosen =
    all.length > 1
      ? h(
          "label",
          { class: "switch" },
          "Tables ",
          h(
            "select",
            { onchange: (event) => (location.href = address(location.pathname === "/recording" ? "/recordings" : location.pathname, { tables: event.target.value })) },
            all.map((one, number) => h("option", { value: String(number), selected: number === tables() }, all.filter((other) => other.name === one.name).length > 1 ? one.path : one.name)),
          ),
        )
      : h("span", { class: "switch" }, own.name);
  replace(document.querySelector("#masthead"), h("a", { class: "skip", href: "#main" }, "Skip to the content"), h("strong", { class: "brand" }, "hubbub"), h("nav", { "aria-label": "Pages" }, links), chosen);
  const status = document.querySelector("#status");
  showStatus(status, own);
  follow(own, status, onChange);
  return own;
}

const isHere = (path) => location.pathname === path || (path === "/recordings" && location.pathname === "/recording");

function showStatus(status, own) {
  const said = [];
  if (own.units_read < own.units) said.push(`Reading the tables: ${count(own.units_read)} of ${countNoun(own.units, "part")} so far; what is here counts these.`);
  if (own.missing) said.push(`${countNoun(own.missing, "file")} not labelled yet: hubbub label is at work, or broke off. The page follows.`);
  for (const problem of own.problems ?? []) said.push(problem);
  replace(status, said.map((text) => h("p", { class: "notice" }, text)));
}

function follow(own, status, onChange) {
  let seen = own.generation;
  const look = async () => {
    try {
      const now = (await ask("/api/tables"))[tables()];
      showStatus(status, now);
      if (now.generation !== seen) {
        seen = now.generation;
        await onChange?.(now);
      }
    } catch (error) {
      if (error instanceof Refusal) replace(status, h("p", { class: "notice" }, error.message));
    }
    setTimeout(look, own.units_read < own.units ? 700 : LOOK_MS);
  };
  setTimeout(look, own.units_read < own.units ? 300 : LOOK_MS);
}

/** Run `work` and show why it failed, where it does. */
export async function showing(element, work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") replace(element, h("p", { class: "problem", role: "alert" }, error.message));
    return undefined;
  }
}

/** Say something to whoever looks and whoever listens to a screen reader. */
export function announce(text) {
  const place = document.querySelector("#announce");
  if (place) place.textContent = text;
}
