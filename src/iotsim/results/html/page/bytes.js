// One message in detail: what it says, and the bytes that say it, each showing where the other is.

const BYTES_IN_LINE = 8;
const FIELD_HEIGHT = 22;

class Detail {
  /** `goTo(row)` shows another message: the answer of a request, and the other way round. */
  constructor(goTo) {
    this.goTo = goTo;
    this.node = element("div", { class: "detail", role: "region", "aria-label": "The chosen message" });
    this.clear();
  }

  clear() {
    this.node.replaceChildren(
      element("p", { class: "quiet", text: "Choose a message to see its fields and bytes." }),
    );
  }

  /** Shows a `title` and some `texts`: of what is no message. */
  showText(title, facts, lines = []) {
    this.node.replaceChildren(
      element("h4", { text: title }),
      factList(facts),
      ...lines.map((line) => element("pre", { text: line })),
    );
  }

  show(row) {
    const fields = messages.fields(row);
    const flat = fields ? flatFields(fields) : [];
    const bytes = messages.bytes(row);
    const parts = [
      element("h4", { text: nameOf(row) }),
      factList(factsOf(row)),
      this.pairButton(row),
    ];
    const told = element("p", { class: "field-told", "aria-live": "polite" });
    const dump = bytes && new Dump(bytes, (path) => choose(path));
    const list = flat.length > 0 && new List({
      label: "Fields",
      rowHeight: FIELD_HEIGHT,
      whole: flat.length <= 64,
      height: 64 * FIELD_HEIGHT,
      draw: (place) => ({
        kind: "field",
        nodes: [
          element("span", { class: "field-name", text: flat[place][0] }),
          element("span", { class: "field-value", text: flat[place][1] }),
        ],
      }),
      choose: (place) => {
        const [path, value] = flat[place];
        told.textContent = `${path} = ${value}${dump ? dump.light(path) : ""}`;
        dump?.bringToSight(path);
      },
    });
    const choose = (path) => {
      const at = flat.findIndex(([name]) => name === path || isWithin(name, path) || isWithin(path, name));
      if (at !== NONE) list.activate(at);
    };
    if (dump) parts.push(dump.node);
    else if (fields) parts.push(element("p", { class: "quiet", text: lackingText() }));
    if (fields) parts.push(told);
    if (list) {
      parts.push(list.node);
      list.show(flat.length);
      list.node.addEventListener("mouseover", (event) => {
        const over = event.target.closest(".list-row")?.querySelector(".field-name");
        if (over && dump) dump.hint(over.textContent);
      });
      list.node.addEventListener("mouseleave", () => dump?.hint(null));
    }
    this.node.replaceChildren(...parts.filter(Boolean));
    this.node.scrollTop = 0;
  }

  pairButton(row) {
    const request = messages.request[row];
    const answer = messages.answer[row];
    const other = request !== NONE ? request : answer;
    if (other === NONE) return null;
    const took = durationText(Math.abs(messages.t[row] - messages.t[other]));
    const way = request !== NONE ? `answers ${nameOf(other)}, ${took} earlier` : `answered by ${nameOf(other)} after ${took}`;
    const guessed = messages.inferred.has(request !== NONE ? row : other) ? " (paired by fields)" : "";
    return element("button", { type: "button", class: "pair", text: way + guessed, onclick: () => this.goTo(other) });
  }
}

function lackingText() {
  return run.bytes.left_out ? `Its bytes are not here: ${run.bytes.left_out}.` : "Its bytes are in capture.pcapng.";
}

function factsOf(row) {
  const what = messages.what(row);
  const ways = { sent: ["from", "to"], "not sent": ["from", "to"], "undecodable sent": ["from", "to"] };
  const [ofDevice, ofPeer] = ways[what] ?? ["by", "from"];
  const device = messages.device(row);
  const peer = messages.peer(row);
  const number = messages.id[row] ? `number ${messages.id[row]}` : "";
  const facts = [
    ["Time", `${momentText(messages.t[row])} s`],
    ["What", [what, device && `${ofDevice} ${device}`, peer && `${ofPeer} ${peer}`].filter(Boolean).join(" ")],
    ["As", [messages.protocol(row), messages.layer(row), number].filter(Boolean).join(", ")],
    ["Impaired by", messages.impaired(row)],
    ["Fate", messages.fate(row)],
    ["Held", messages.delay(row) ? durationText(messages.delay(row)) : ""],
    ["Told", messages.text(row)],
  ];
  return facts.filter(([, value]) => value);
}

function factList(facts) {
  return element(
    "dl",
    { class: "detail-facts" },
    ...facts.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]),
  );
}

/** Whether `path` is inside of what `outer` names. */
function isWithin(path, outer) {
  return path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);
}

/** Bytes in hex and as text. */
class Dump {
  constructor({ hex, size, from, layout }, choosePath) {
    this.layout = layout;
    this.choosePath = choosePath;
    this.cells = [];
    const lines = [];
    const shown = hex.length / 2;
    for (let start = 0; start < shown; start += BYTES_IN_LINE) lines.push(this.line(hex, start, shown));
    const origins = { capture: "from the capture", encoded: "encoded again from the fields", event: "as it arrived" };
    this.node = element(
      "figure",
      { class: "dump" },
      element("figcaption", { text: `${plural(size, "byte")}, ${origins[from] ?? from}${shown < size ? `: the first ${countText(shown)}` : ""}` }),
      this.lines = element("div", { class: "dump-lines", onclick: (event) => this.onClick(event) }, ...lines),
    );
  }

  line(hex, start, size) {
    const bytes = element("span", { class: "dump-bytes" });
    const text = element("span", { class: "dump-text", "aria-hidden": "true" });
    for (let at = start; at < Math.min(size, start + BYTES_IN_LINE); at++) {
      const pair = hex.slice(2 * at, 2 * at + 2);
      const code = parseInt(pair, 16);
      const inHex = element("span", { class: "byte", "data-byte": at, text: pair });
      const asText = element("span", { class: "byte", "data-byte": at, text: code > 32 && code < 127 ? String.fromCharCode(code) : "·" });
      this.cells.push([inHex, asText]);
      bytes.append(inHex);
      text.append(asText);
    }
    const offset = element("span", { class: "dump-offset", text: start.toString(16).padStart(4, "0") });
    return element("div", { class: "dump-line" }, offset, bytes, text);
  }

  /** Parts of the layout that are the field at `path`, or in it, or that it is in. */
  partsOf(path) {
    if (!this.layout) return [];
    const exact = this.layout.filter(([name]) => name === path);
    if (exact.length > 0) return exact;
    const inner = this.layout.filter(([name]) => isWithin(name, path));
    return inner.length > 0 ? inner : this.layout.filter(([name]) => name && isWithin(path, name));
  }

  /** Highlights the bytes of a field, and tells which they are. */
  light(path) {
    const parts = this.partsOf(path);
    this.mark("lit", parts);
    if (parts.length === 0) return "";
    const first = Math.min(...parts.map(([, offset]) => offset));
    const end = Math.max(...parts.map(([, offset, size]) => offset + size));
    return `  (${bitsText(first, end)})`;
  }

  bringToSight(path) {
    const [part] = this.partsOf(path);
    const line = part && this.lines.children[Math.floor((part[1] >> 3) / BYTES_IN_LINE)];
    // Scrolled here rather than by the browser, which would move the page as well.
    if (line) this.lines.scrollTop = line.offsetTop - this.lines.offsetTop - line.offsetHeight;
  }

  /** Highlights them lightly, as long as the pointer is there. */
  hint(path) {
    this.mark("hinted", path === null ? [] : this.partsOf(path));
  }

  mark(kind, parts) {
    for (const cell of this.cells) for (const node of cell) node.classList.remove(kind, "partly");
    for (const [, offset, size] of parts) {
      for (let at = offset >> 3; at <= (offset + size - 1) >> 3; at++) {
        const partly = offset > 8 * at || offset + size < 8 * at + 8;
        for (const node of this.cells[at] ?? []) node.classList.add(kind, ...(partly ? ["partly"] : []));
      }
    }
  }

  onClick(event) {
    const at = 8 * Number(event.target.closest("[data-byte]")?.dataset.byte ?? NaN);
    const part = this.layout?.find(([path, offset, size]) => path && offset < at + 8 && offset + size > at);
    if (part) this.choosePath(part[0]);
  }
}

function bitsText(first, end) {
  if (first % 8 === 0 && end % 8 === 0) {
    const last = end / 8 - 1;
    return first / 8 === last ? `byte ${last}` : `bytes ${first / 8} to ${last}`;
  }
  const bits = end - first === 1 ? `bit ${first % 8}` : `bits ${first % 8} to ${(end - 1) % 8}`;
  return end - 1 >> 3 === first >> 3 ? `${bits} of byte ${first >> 3}` : `${plural(end - first, "bit")} from bit ${first % 8} of byte ${first >> 3}`;
}
