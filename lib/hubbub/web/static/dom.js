// Elements and texts: all text goes in as text, so nothing that a file or a label says is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Make an element: h("a", {href: "/", onclick: go}, "text", other). */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** Make an element of SVG. */
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Put children in place of what an element holds; the focus stays on what it was on, if that is there again. */
export function replace(element, ...children) {
  const focused = document.activeElement;
  const held = focused && focused !== element && element.contains(focused) ? describe(focused) : null;
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (!held) return;
  const same = [...element.querySelectorAll(held.tag)].filter((one) => describe(one).name === held.name);
  same[0]?.focus({ preventScroll: true });
}

function describe(element) {
  const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent;
  return { tag: element.tagName, name: element.id || label || element.textContent };
}

/** 12345 as "12 345", with thin spaces. */
export const count = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

/** A count with its noun: "1 event", "2 events". */
export const countNoun = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A length of time: "3.2 s", "4.5 min", "12.0 h". */
export function span(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${count(Math.floor(seconds / 3600))}.${Math.floor((seconds / 360) % 10)} h`;
}

/** A position in a recording: "0:07.25", "1:02:03.00"; `digits` after the point. */
export function clock(seconds, digits = 2) {
  const scale = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * scale);
  const rest = (whole % (60 * scale)) / scale;
  const minutes = Math.floor(whole / (60 * scale));
  const tail = rest.toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}

/** A moment in microseconds since 1970, told in a time zone: "2026-05-04 06:30:00". */
export function moment(microseconds, zone) {
  const parts = { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return new Intl.DateTimeFormat("sv-SE", parts).format(new Date(microseconds / 1000));
}

/** A share as "91.5 %"; a dash where it is unknown. */
export const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`);

/** A frequency: "440 Hz", "1.5 kHz". */
export const hertz = (hz) => (hz >= 1000 ? `${+(hz / 1000).toFixed(2)} kHz` : `${Math.round(hz)} Hz`);

const COLOURS = ["#f2b134", "#5ec4e8", "#f58a7b", "#7fd17f", "#b79af2", "#e9d25c", "#4fd0b8", "#ee9ad0", "#9db4f5", "#f5a05a", "#a8d45a", "#cdb19a"];

/** The colour of a label by its place among all. */
export function colour(place) {
  if (place < COLOURS.length) return COLOURS[Math.max(0, place)];
  return `hsl(${Math.round((place * 137.508) % 360)} 60% 70%)`;
}
