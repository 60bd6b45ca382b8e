// What can be shown in the order of time: messages, output, what came northbound, what was done.
//
// An item is a number: 4 * place + sort. So a list of all that a run kept is cheap to make, to filter and to sort.

const MESSAGE = 0;
const OUTPUT = 1;
const NORTHBOUND = 2;
const MARK = 3;
const BORING_FIELDS = new Set(["magic", "version", "crc", "checksum", "length"]);
const SHOWN_FIELDS = 6;

const TIMES = {
  [MESSAGE]: messages.t,
  [OUTPUT]: run.output.t,
  [NORTHBOUND]: run.northbound.t,
  [MARK]: run.marks.map((mark) => mark.t),
};

const itemOf = (sort, place) => 4 * place + sort;
const sortOf = (item) => item % 4;
const placeOf = (item) => (item - item % 4) / 4;
const timeOf = (item) => TIMES[sortOf(item)][placeOf(item)];

/** What is told by a row of its device, too. */
const OF_DEVICES = new Set(["device-failed", "session-failed", "device-rebooted"]);

/** Lists of items, each in the order of time, as one; what was done comes before what followed at once. */
function merged(lists) {
  const all = lists.filter((list) => list.length > 0);
  if (all.length === 1) return all[0];
  const rank = { [MARK]: 0, [MESSAGE]: 1, [NORTHBOUND]: 2, [OUTPUT]: 3 };
  return all.flat().sort((a, b) => timeOf(a) - timeOf(b) || rank[sortOf(a)] - rank[sortOf(b)] || a - b);
}

/** What a message is called; what has no fields is called by what became of it. */
function nameOf(row) {
  const what = messages.what(row);
  const kind = messages.kind(row);
  const fields = messages.fields(row);
  if (fields && kind && kind !== what) return kind;
  const named = fields?.find(([name]) => name === "kind");
  return named ? String(named[1]) : what;
}

/** What the row of a message says, arrows included. */
function spokenMessage(row) {
  const parts = [
    `${momentText(messages.t[row])} s`,
    `${messages.device(row)} ${messages.what(row)}`,
    nameOf(row),
    fieldSummary(row),
    messages.impaired(row),
    messages.fate(row),
    messages.text(row),
  ];
  return parts.filter(Boolean).join(", ");
}

/** The fields that tell a message from others like it, in a line. */
function fieldSummary(row) {
  const fields = messages.fields(row);
  if (!fields) return "";
  const kind = nameOf(row);
  const telling = [];
  const rest = [];
  fields.forEach(([name, value], field) => {
    if (BORING_FIELDS.has(name) || value === kind) return;
    (messages.isConstant(row, field) ? rest : telling).push([name, value]);
  });
  const shown = flatFields([...telling, ...rest].slice(0, SHOWN_FIELDS));
  return shown.slice(0, 2 * SHOWN_FIELDS).map(([path, value]) => `${path}=${shortValue(value)}`).join("  ");
}

/** A value in a line of several: of what a 32-bit float makes of 20.4, the digits that it has. */
function shortValue(text) {
  return /^-?\d+\.\d{7,}$/.test(text) ? String(Number(Number(text).toPrecision(7))) : text.slice(0, 80);
}

/** What came northbound, in a few words, and what was in it. */
function northboundParts(at) {
  const { method, path, status, topic, payload, message, json, body } = run.northbound.fields[at];
  const value = (part) => (typeof part === "object" && part !== null ? JSON.stringify(part) : String(part));
  const first = (...parts) => value(parts.find((part) => part !== undefined && part !== null) ?? "");
  if (method !== undefined) {
    return [[method, path, status ? `→ ${status}` : ""].filter(Boolean).map(value).join(" "), first(json, body)];
  }
  if (topic !== undefined) return [value(topic), first(json, payload)];
  return [first(message, json, payload, run.northbound.fields[at]), ""];
}

const MARK_TITLES = {
  "link-up": "link up",
  "gateway-started": "gateway started",
  "gateway-ready": "gateway ready",
  "gateway-exited": "gateway exited",
  "gateway-paused": "gateway paused",
  "device-failed": "device failed",
  "session-failed": "session failed",
  "device-rebooted": "device rebooted",
  "run-ended": "end of the run",
  lag: "simulator late",
};

function markTitle(mark) {
  if (mark.what === "expectation") return run.expectations.find(({ number }) => number === mark.number)?.state ?? "decided";
  return MARK_TITLES[mark.what] ?? mark.what;
}
