// Charts as SVG: bars, day by hour, scores with a threshold, places. Numbers are beside every colour.

import { count, countNoun, h, percent, span, svg } from "./dom.js";

/** Rows of a name, a bar and a number; a click or Enter picks one. `rows`: {name, value, text, colour, chosen}. */
export function barTable(rows, { head, pick, caption }) {
  const most = Math.max(1e-9, ...rows.map((row) => row.value));
  return h(
    "table",
    { class: "bars" },
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, head.map((name, place) => h("th", { scope: "col", class: place ? "number" : null }, name)))),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          { class: row.chosen ? "chosen" : null },
          h("th", { scope: "row" }, pick ? h("button", { class: "link", type: "button", "aria-pressed": String(Boolean(row.chosen)), onclick: () => pick(row) }, row.name) : row.name),
          h("td", { class: "number" }, h("span", { class: "bar", style: { width: `calc((100% - 74px) * ${(row.value / most).toFixed(4)})`, background: row.colour ?? "var(--accent)" } }), h("b", {}, count(row.value))),
          row.texts.map((text) => h("td", { class: "number soft" }, text)),
        ),
      ),
    ),
  );
}

/** Day by hour. `cells` and `effort`: [day, hour, value]; a cell without effort is hatched. `pick(day, hour)`. */
export function heatMap(cells, effort, { unit, pick, from }) {
  const days = listDays(effort.length ? effort : cells);
  if (!days.length) return h("p", { class: "note" }, from ? "There is no audio of these days and hours." : "No recording says when it began, so there are no days and hours to show.");
  const step = Math.ceil(days.length / 200);
  const place = new Map(days.map((day, number) => [day, Math.floor(number / step)]));
  const columns = Math.ceil(days.length / step);
  const value = new Float64Array(columns * 24);
  const seconds = new Float64Array(columns * 24);
  for (const [day, hour, number] of cells) if (place.has(day)) value[place.get(day) * 24 + hour] += number;
  for (const [day, hour, number] of effort) if (place.has(day)) seconds[place.get(day) * 24 + hour] += number;
  const most = Math.max(1, ...value);
  const width = Math.max(4, Math.min(56, 900 / columns));
  const height = 11;
  const left = 42;
  const marks = [];
  for (let column = 0; column < columns; column += 1)
    for (let hour = 0; hour < 24; hour += 1) {
      const at = column * 24 + hour;
      if (!seconds[at] && !value[at]) continue;
      const day = days[column * step];
      const days_text = step > 1 ? `${day} and ${countNoun(Math.min(step, days.length - column * step) - 1, "day")} more` : day;
      const strength = value[at] ? 14 + 86 * Math.sqrt(value[at] / most) : 0;
      marks.push(
        svg(
          "rect",
          {
            x: left + column * width,
            y: hour * height,
            width: width - 0.6,
            height: height - 0.6,
            fill: value[at] ? `color-mix(in oklab, var(--heat) ${strength.toFixed(0)}%, var(--faint))` : "var(--zero)",
            onclick: pick && step === 1 ? () => pick(day, hour) : null,
            class: pick && step === 1 ? "pick" : null,
          },
          svg("title", {}, `${days_text}, ${hour}:00: ${count(value[at])} ${unit} in ${span(seconds[at])} of audio`),
        ),
      );
    }
  const labels = [0, 6, 12, 18].map((hour) => svg("text", { x: left - 5, y: hour * height + 9, "text-anchor": "end" }, `${hour}:00`));
  const every = Math.max(1, Math.ceil(70 / width));
  for (let column = 0; column < columns; column += every)
    labels.push(svg("text", { x: left + column * width, y: 24 * height + 14 }, days[column * step].slice(columns * step > 300 ? 0 : 5)));
  const busiest = [...value].indexOf(Math.max(...value));
  const spoken = `Events by day and hour, ${days[0]} to ${days[days.length - 1]}; most are ${count(most)} at ${busiest % 24}:00 on ${days[Math.floor(busiest / 24) * step]}`;
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events by day and hour" },
    svg("svg", { class: "heat", viewBox: `0 0 ${left + columns * width + 4} ${24 * height + 20}`, width: left + columns * width + 4, height: 24 * height + 20, role: "img", "aria-label": spoken }, backdrop(left, columns * width, 24 * height), marks, labels),
    h("p", { class: "note" }, `Each cell is ${step > 1 ? `${step} days and ` : ""}an hour; the darkest has ${count(most)} ${unit}. Pale: audio without any. Hatched: no audio.`),
  );
}

function backdrop(x, width, height) {
  return [
    svg("defs", {}, svg("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse" }, svg("path", { d: "M0 5L5 0", stroke: "var(--line)", "stroke-width": 1 }))),
    svg("rect", { x, y: 0, width, height, fill: "url(#hatch)" }),
  ];
}

function listDays(cells) {
  const held = cells.map(([day]) => day).sort();
  if (!held.length) return [];
  const days = [];
  const last = Date.parse(held[held.length - 1]);
  for (let at = Date.parse(held[0]); at <= last && days.length < 20000; at += 86400000) days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}

/** Scores in bins of 0 to 1, with a line at the threshold. */
export function histogram(bins, { threshold, caption, second }) {
  const width = 520;
  const height = 150;
  const most = Math.max(1, ...bins);
  const draw = (values, top, name) =>
    values.map((value, place) => {
      const tall = value ? Math.max(1.5, (height * Math.sqrt(value)) / Math.sqrt(top)) : 0;
      return svg("rect", { class: name, x: (width * place) / values.length + 0.5, y: height - tall, width: width / values.length - 1, height: tall }, svg("title", {}, `${(place / values.length).toFixed(2)} to ${((place + 1) / values.length).toFixed(2)}: ${count(value)}`));
    });
  const line = svg("line", { class: "threshold", y1: 0, y2: height + 4, x1: 0, x2: 0 });
  const move = (value) => {
    line.setAttribute("x1", width * value);
    line.setAttribute("x2", width * value);
  };
  move(threshold);
  const marks = [0, 0.25, 0.5, 0.75, 1].map((score) => svg("text", { x: width * score, y: height + 16, "text-anchor": score === 0 ? "start" : score === 1 ? "end" : "middle" }, score));
  const picture = svg("svg", { class: "histogram", viewBox: `-4 -4 ${width + 8} ${height + 26}`, role: "img", "aria-label": caption }, second ? draw(second, Math.max(1, ...second), "behind") : null, draw(bins, most, "front"), line, marks);
  return { picture, move };
}

/** Places on a plain grid of degrees, circles by events; no map is fetched. */
export function placeMap(places, { pick }) {
  const latitudes = places.map((place) => place.lat);
  const longitudes = places.map((place) => place.lon);
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const size = Math.max(north - south, (east - west) * shrink, 0.002) * 1.25;
  const width = 640;
  const height = 420;
  const scale = Math.min(width, height) / size;
  const x = (longitude) => width / 2 + (longitude - (west + east) / 2) * shrink * scale;
  const y = (latitude) => height / 2 - (latitude - (south + north) / 2) * scale;
  const step = niceStep(size / 3);
  const grid = [];
  const text = (value, letters) => `${Math.abs(value).toFixed(Math.max(0, -Math.floor(Math.log10(step))))}° ${value < 0 ? letters[1] : letters[0]}`;
  for (let degrees = Math.ceil((south - size) / step) * step; degrees < north + size; degrees += step)
    if (y(degrees) > 0 && y(degrees) < height) grid.push(svg("line", { x1: 0, x2: width, y1: y(degrees), y2: y(degrees) }), svg("text", { x: 4, y: y(degrees) - 3 }, text(degrees, "NS")));
  for (let degrees = Math.ceil((west - 2 * size) / step) * step; degrees < east + 2 * size; degrees += step)
    if (x(degrees) > 60 && x(degrees) < width) grid.push(svg("line", { x1: x(degrees), x2: x(degrees), y1: 0, y2: height }), svg("text", { x: x(degrees) + 3, y: height - 5 }, text(degrees, "EW")));
  const most = Math.max(1, ...places.map((place) => place.events));
  const circles = [...places]
    .sort((a, b) => b.events - a.events)
    .map((place) => {
      const name = place.name ?? `${place.lat.toFixed(4)}, ${place.lon.toFixed(4)}`;
      const said = `${name}: ${countNoun(place.events, "event")} in ${span(place.seconds)}`;
      return svg("circle", { cx: x(place.lon), cy: y(place.lat), r: place.events ? 5 + 19 * Math.sqrt(place.events / most) : 4, class: place.events ? "place" : "place none", onclick: () => pick?.(place) }, svg("title", {}, said));
    });
  const kilometre = scale / 111.2; // pixels; a degree of latitude is 111.2 km
  const long = niceStep(130 / kilometre);
  const bar = svg("g", { class: "scale", transform: `translate(${width - 16 - long * kilometre} ${height - 26})` }, svg("path", { d: `M0 -5V0H${long * kilometre}V-5`, fill: "none" }), svg("text", { x: (long * kilometre) / 2, y: -6, "text-anchor": "middle" }, long >= 1 ? `${long} km` : `${Math.round(long * 1000)} m`));
  return svg("svg", { class: "map", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Places of ${countNoun(places.length, "recording site")}; the table beside lists them` }, svg("g", { class: "grid" }, grid), circles, bar);
}

/** 1, 2 or 5 times a power of ten, not above `wanted`. */
export function niceStep(wanted) {
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * ([5, 2, 1].find((factor) => factor * power <= wanted * 1.0001) ?? 1);
}

/** Shares with intervals by range of score: rows {low, high, share, from, to, n}. */
export function intervalChart(rows, caption) {
  const width = 520;
  const height = 170;
  const y = (share) => height * (1 - share);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => [svg("line", { class: "grid", x1: 0, x2: width, y1: y(share), y2: y(share) }), svg("text", { x: -6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`)]);
  const marks = rows
    .filter((row) => row.n > 0)
    .map((row) => {
      const x = (width * (row.low + row.high)) / 2;
      const said = `score ${row.low.toFixed(2)} to ${row.high.toFixed(2)}: ${percent(row.share)} right of ${count(row.n)} (95 %: ${percent(row.from)} to ${percent(row.to)})`;
      return svg("g", { class: "interval" }, svg("title", {}, said), svg("line", { x1: x, x2: x, y1: y(row.from), y2: y(row.to) }), svg("circle", { cx: x, cy: y(row.share), r: 5 }));
    });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((score) => svg("text", { x: width * score, y: height + 18, "text-anchor": "middle" }, score));
  return svg("svg", { class: "intervals", viewBox: `-52 -8 ${width + 64} ${height + 32}`, role: "img", "aria-label": caption }, grid, marks, ticks);
}
