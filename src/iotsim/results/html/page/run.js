// The run, as it travels in the page. No other file knows how it is packed.

const run = JSON.parse(document.getElementById("data").textContent);

const NONE = -1;

// The axis ends where its last bin does, also of a run that ended before anything happened.
run.axis.end = run.axis.bins * run.axis.width;

/** What a column has at a row: a column is a list, or one value for all rows. */
function column(packed) {
  return Array.isArray(packed) ? (row) => packed[row] : () => packed.all;
}

/** The text at a place of the table of strings, "" for none. */
function stringAt(place) {
  return place === NONE ? "" : run.strings[place];
}

function textColumn(packed) {
  const at = column(packed);
  return (row) => stringAt(at(row));
}

const messages = (() => {
  const { columns, count, whats } = run.messages;
  const shapeAt = column(columns.shape);
  const replyAt = column(columns.reply);
  const whatAt = column(columns.what);

  const t = new Float64Array(count);
  const id = new Float64Array(count);
  const place = new Int32Array(count); // which of the rows of its shape a row is
  const request = new Int32Array(count).fill(NONE);
  const answer = new Int32Array(count).fill(NONE);
  const inferred = new Set();
  const seen = new Int32Array(run.shapes.length);
  const stepAt = column(columns.t);
  const idStepAt = column(columns.id);

  const pair = (asked, answered) => {
    request[answered] = asked;
    if (answer[asked] === NONE) answer[asked] = answered;
  };
  for (let row = 0, microseconds = 0, number = 0; row < count; row++) {
    microseconds += stepAt(row);
    number += idStepAt(row);
    t[row] = microseconds / 1e6;
    id[row] = number;
    const shape = shapeAt(row);
    if (shape !== NONE) place[row] = seen[shape]++;
    if (replyAt(row) !== NONE) pair(replyAt(row), row);
  }
  for (const [answered, asked] of run.messages.inferred) {
    inferred.add(answered);
    pair(asked, answered);
  }

  const shapes = run.shapes.map(({ fields, columns: values }) =>
    fields.map((name, field) => [name, column(values[field])]));
  const bytes = new Map(run.bytes.row.map((row, place) => [row, place]));
  const byteOrigin = column(run.bytes.from);
  const byteLayout = column(run.bytes.layout);
  const byteSize = column(run.bytes.size);

  return {
    count,
    t,
    id,
    request,
    answer,
    inferred,
    what: (row) => whats[whatAt(row)],
    device: textColumn(columns.device),
    peer: textColumn(columns.peer),
    protocol: textColumn(columns.protocol),
    kind: textColumn(columns.kind),
    layer: textColumn(columns.layer),
    impaired: textColumn(columns.impaired),
    fate: textColumn(columns.fate),
    text: textColumn(columns.text),
    delay: column(columns.delay),

    /** Fields as [name, value], in order; null where there is no message. */
    fields(row) {
      const shape = shapes[shapeAt(row)];
      return shape ? shape.map(([name, valueAt]) => [name, valueAt(place[row])]) : null;
    },
    /** Whether a field is the same in all messages that look like this one. */
    isConstant(row, field) {
      const shape = run.shapes[shapeAt(row)];
      return seen[shapeAt(row)] > 3 && !Array.isArray(shape.columns[field]);
    },
    /** {hex, from, layout} or null. */
    bytes(row) {
      const at = bytes.get(row);
      if (at === undefined) return null;
      return { hex: run.bytes.hex[at], size: byteSize(at), from: byteOrigin(at), layout: run.layouts[byteLayout(at)] ?? null };
    },
  };
})();

/** Rows of `t`, which rises, that are in [from, to]: the first, and the one after the last. */
function rowsBetween(t, from, to) {
  const first = (limit, after) => {
    let low = 0;
    let high = t.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (after ? t[middle] <= limit : t[middle] < limit) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [first(from, false), first(to, true)];
}

/** Fields within fields as one list of [path, value], as paths are written in scenarios. */
function flatFields(fields) {
  const flat = [];
  const walk = (path, value, depth) => {
    if (typeof value === "string") flat.push([path, value]);
    else if (value !== null && typeof value === "object" && depth < 16) {
      const isList = Array.isArray(value);
      const inner = Object.entries(value);
      if (inner.length === 0) flat.push([path, isList ? "[]" : "{}"]);
      for (const [name, part] of inner) {
        walk(isList ? `${path}[${name}]` : path ? `${path}.${name}` : name, part, depth + 1);
      }
    } else {
      flat.push([path, value !== null && typeof value === "object" ? JSON.stringify(value) : String(value)]);
    }
  };
  for (const [name, value] of fields) walk(name, value, 0);
  return flat;
}

/** Whether all messages of `device` ("" for any) between two times (null: no end) are in the page. */
function isComplete(device, from, to) {
  if (run.messages.whole || wholeDevices.has(device)) return true;
  return run.messages.spans.some(([first, last]) => first <= (from ?? 0) && (to ?? run.axis.end) <= last);
}

const wholeDevices = new Set(run.messages.whole_devices.map(stringAt));

/** What the page looks at: a range of time (null: all of it) and a device ("" for all). */
const focus = {
  from: null,
  to: null,
  device: "",
  listeners: [],
  set(changes) {
    Object.assign(this, changes);
    for (const listener of this.listeners) listener(this);
  },
};
