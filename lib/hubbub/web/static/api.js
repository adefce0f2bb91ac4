// What the server is asked. The address of a page says which tables and which filter it shows, so it can be kept.

/** An answer that says why not. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function read(answer) {
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw new Refusal("the server's answer is no JSON", answer.status);
  }
  if (!answer.ok) throw new Refusal(data?.error ?? text ?? answer.statusText, answer.status);
  return data;
}

function explain(error) {
  if (error instanceof Refusal || error.name === "AbortError") throw error;
  throw new Refusal("the server does not answer: is hubbub still running?", 0);
}

/** Ask for JSON; `values` become the query, lists as repeated values. */
export async function ask(path, values = {}, options = {}) {
  return fetch(address(path, values), options).then(read, explain);
}

/** Send JSON; the request outlives the page. */
export async function tell(path, data) {
  const body = JSON.stringify(data);
  return fetch(path, { method: "POST", body, headers: { "content-type": "application/json" }, keepalive: body.length < 60000 }).then(read, explain);
}

/** An address with a query; null and empty values are left out. */
export function address(path, values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** What this page's address says. */
export const here = () => Object.fromEntries(new URLSearchParams(location.search));

/** Change what this page's address says, without loading it again; `asStep`: so that Back undoes it. */
export function keepHere(values, { asStep = false } = {}) {
  history[asStep ? "pushState" : "replaceState"](null, "", address(location.pathname, { ...here(), ...values }));
}

/** Number of the tables that are shown. */
export const tables = () => Number(here().tables ?? 0);

/** The filter as an object. */
export function readFilter() {
  try {
    return JSON.parse(here().filter ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/** A filter as text; empty where it lets all through. */
export function writeFilter(filter) {
  const kept = Object.entries(filter).filter(([, value]) => value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && !value.length) && !(typeof value === "object" && !Array.isArray(value) && !Object.keys(value).length));
  return kept.length ? JSON.stringify(Object.fromEntries(kept)) : "";
}
