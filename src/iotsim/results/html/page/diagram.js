// A sequence diagram: time runs down, each party has a lifeline, each message is an arrow.

const LANES_OF_DEVICES = 4;
const ROW_HEIGHT = 30;
const LOST = /\b(lost|longer than the MTU|queue was full|offline|down|mute)\b/;

class Diagram {
  constructor({ label, height, whole = false }) {
    this.items = [];
    this.detail = new Detail((row) => this.goTo(row));
    this.head = element("div", { class: "lane-names", "aria-hidden": "true" });
    this.list = new List({
      label,
      height,
      whole,
      rowHeight: ROW_HEIGHT,
      draw: (place) => this.drawItem(place),
      choose: (place) => this.choose(place),
    });
    this.lifelines = element("div", { class: "lifelines", "aria-hidden": "true" });
    this.list.content.append(this.lifelines);
    this.empty = element("p", { class: "quiet empty", hidden: true, text: "No messages here." });
    this.node = element(
      "div",
      { class: "diagram" },
      element("div", { class: "sequence" }, this.head, this.empty, this.list.node),
      this.detail.node,
    );
  }

  /** Shows `items`; `repeats` tells of some how many more like them were left out after them. */
  show(items, repeats = new Map()) {
    this.items = items;
    this.repeats = repeats;
    this.places = null;
    this.pairOf = NONE;
    this.setLanes();
    this.setActive();
    this.detail.clear();
    this.list.show(items.length);
    this.empty.hidden = items.length > 0;
  }

  /** Decides who has a lifeline, and where it is, in percent. */
  setLanes() {
    const devices = new Set();
    let hasNorthbound = false;
    for (const item of this.items) {
      if (sortOf(item) === NORTHBOUND) hasNorthbound = true;
      if (sortOf(item) === MESSAGE && devices.size <= LANES_OF_DEVICES) devices.add(messages.device(placeOf(item)));
    }
    devices.delete("");
    const services = new Set(run.northbound.service);
    const north = hasNorthbound ? [services.size === 1 ? [...services][0] : "northbound"] : [];
    this.isCrowded = devices.size > LANES_OF_DEVICES;
    const names = [...north, "gateway", ...(this.isCrowded || devices.size === 0 ? ["devices"] : [...devices].sort(byName))];
    const at = laneSpacing(names.length, north.length);
    this.lanes = new Map(names.map((name, lane) => [name, at(lane)]));
    this.northLane = north.length ? at(0) : null;
    this.gatewayLane = at(north.length);
    this.head.replaceChildren(...names.map((name, lane) => {
      const node = placed(element("span", { text: name, title: name }), at(lane));
      node.style.maxWidth = `min(${2 * at(lane)}%, ${2 * (100 - at(lane))}% + 2 * var(--took))`;
      return node;
    }));
    this.lifelines.replaceChildren(...names.map((_, lane) => placed(element("span"), at(lane))));
  }

  laneOf(device) {
    return this.lanes.get(device) ?? this.lanes.get("devices") ?? this.gatewayLane;
  }

  /** Marks, for each row, on which lifelines a request waits for its answer. */
  setActive() {
    this.active = new Map();
    if (this.isCrowded) return;
    const until = new Map();
    const placeOfRow = new Map();
    this.items.forEach((item, place) => {
      if (sortOf(item) === MESSAGE) placeOfRow.set(placeOf(item), place);
    });
    this.items.forEach((item, place) => {
      const bars = [];
      for (const [device, end] of until) {
        bars.push([device, end === place ? "end" : "through"]);
        if (end === place) until.delete(device);
      }
      if (sortOf(item) === MESSAGE) {
        const row = placeOf(item);
        const device = messages.device(row);
        const end = placeOfRow.get(messages.answer[row]);
        if (end > place && !(until.get(device) >= end)) {
          if (!until.has(device)) bars.push([device, "begin"]);
          until.set(device, end);
        }
      }
      if (bars.length > 0) this.active.set(place, bars);
    });
  }

  choose(place) {
    const item = this.items[place];
    const at = placeOf(item);
    if (sortOf(item) === MESSAGE) {
      const other = messages.request[at] !== NONE ? messages.request[at] : messages.answer[at];
      this.setPair(other === NONE ? NONE : this.placeOfMessage(other));
      this.detail.show(at);
      return;
    }
    this.setPair(NONE);
    const time = ["Time", `${momentText(timeOf(item))} s`];
    if (sortOf(item) === OUTPUT) this.detail.showText("Gateway output", [time], [run.output.line[at]]);
    else if (sortOf(item) === NORTHBOUND) {
      const fields = flatFields(Object.entries(run.northbound.fields[at]));
      this.detail.showText(`Northbound: ${run.northbound.service[at]}`, [time, ...fields]);
    } else this.detail.showText(markTitle(run.marks[at]), [time], [run.marks[at].text]);
  }

  /** Shows which row belongs to the chosen one. */
  setPair(place) {
    this.list.drawnRows.get(this.pairOf)?.classList.remove("paired");
    this.pairOf = place;
    this.list.drawnRows.get(place)?.classList.add("paired");
  }

  placeOfMessage(row) {
    this.places ??= new Map(this.items.map((item, place) => [item, place]));
    return this.places.get(itemOf(MESSAGE, row)) ?? NONE;
  }

  /** Chooses a message, or shows it alone where the diagram does not have it. */
  goTo(row) {
    const place = this.placeOfMessage(row);
    if (place === NONE) this.detail.show(row);
    else this.list.activate(place);
  }

  drawItem(place) {
    const item = this.items[place];
    const at = placeOf(item);
    const time = element("span", { class: "moment", text: momentText(timeOf(item)) });
    const lanes = element("span", { class: "lanes" });
    for (const [device, part] of this.active.get(place) ?? []) {
      lanes.append(placed(element("i", { class: `waiting ${part}` }), this.laneOf(device)));
    }
    let kind = place === this.pairOf ? "paired " : "";
    let label = null;
    if (sortOf(item) === MESSAGE) {
      kind += this.drawMessage(lanes, at);
      label = spokenMessage(at);
    } else if (sortOf(item) === NORTHBOUND) kind += this.drawNorthbound(lanes, at, this.repeats.get(item) ?? 0);
    else if (sortOf(item) === OUTPUT) {
      const line = run.output.line[at];
      kind += "output";
      lanes.append(placed(element("span", { class: "note", text: line || " ", title: line }), this.gatewayLane));
    } else {
      const mark = run.marks[at];
      kind += mark.bad ? "mark bad" : "mark";
      lanes.append(element("span", { class: "divider", title: mark.text },
        element("b", { text: markTitle(mark) }), element("span", { text: mark.text })));
    }
    return { kind, label, nodes: [time, lanes] };
  }

  drawMessage(lanes, row) {
    const what = messages.what(row);
    const device = messages.device(row);
    const lane = this.laneOf(device);
    const look = LOOKS[what] ?? "about";
    if (look === "about") {
      const text = [this.isCrowded ? device : "", what, messages.text(row) || messages.fate(row)].filter(Boolean).join(": ");
      lanes.append(placed(element("span", { class: `note device-note${FAILURES.has(what) ? " bad" : ""}`, text, title: text }), lane));
      return "about";
    }
    const isLost = what === "not sent" || LOST.test(messages.fate(row));
    const toDevice = look === "in";
    this.drawArrow(lanes, this.gatewayLane, lane, toDevice, isLost, [
      element("b", { text: nameOf(row) }), ...this.summary(row, device),
    ]);
    const request = messages.request[row];
    if (request !== NONE) {
      const text = `+${durationText(messages.t[row] - messages.t[request])}`;
      lanes.append(element("span", { class: "took", text }));
    }
    return [look, /undecodable/.test(what) ? "wrong" : "", messages.impaired(row) ? "impaired" : "", isLost ? "lost" : ""].join(" ");
  }

  summary(row, device) {
    const nodes = [];
    if (this.isCrowded) nodes.push(element("span", { class: "who", text: device }));
    const told = messages.text(row);
    const what = messages.what(row);
    if (what !== "received" && what !== "sent" && nameOf(row) !== what) nodes.push(element("span", { class: "badge bad", text: what }));
    const said = fieldSummary(row);
    if (said) nodes.push(element("span", { class: "said", text: said }));
    const fate = [messages.impaired(row), messages.fate(row)].filter(Boolean).join(": ");
    if (fate) nodes.push(element("span", { class: "badge", text: fate }));
    if (told) nodes.push(element("span", { class: "said", text: told }));
    return nodes;
  }

  drawNorthbound(lanes, at, repeats) {
    const [what, content] = northboundParts(at);
    this.drawArrow(lanes, this.northLane, this.gatewayLane, false, false, [
      element("b", { text: repeats ? `${countText(repeats + 1)} × ${what}` : what }),
      element("span", { class: "said", text: repeats ? "" : content }),
    ]);
    return "out northbound";
  }

  /**
   * An arrow between two lanes, `rightward` or not; what is lost does not arrive. Its label begins where it does, and
   * may be longer.
   */
  drawArrow(lanes, left, right, rightward, isLost, label) {
    const shaft = element("i", { class: "shaft" });
    if (isLost) shaft.style[rightward ? "right" : "left"] = "28%";
    const arrow = placed(element("span", { class: `arrow ${rightward ? "rightward" : "leftward"}` }, shaft), left);
    arrow.style.width = `${Math.max(1, right - left)}%`;
    lanes.append(arrow, placed(element("span", { class: "label" }, ...label), left));
  }
}

const FAILURES = new Set(["device failed", "session failed", "packet dropped"]);
const LOOKS = {
  received: "in",
  sent: "out",
  undecodable: "in",
  "undecodable sent": "out",
  "not sent": "out",
};

/** Where lanes are, in percent; what comes northbound is short, and needs less room. */
function laneSpacing(count, hasNorthbound) {
  const margin = 10;
  const last = 97;
  const first = hasNorthbound ? 30 : margin;
  const between = (last - first) / (count - 1 - hasNorthbound);
  return (lane) => (hasNorthbound && lane === 0 ? margin : first + (lane - hasNorthbound) * between);
}

function placed(node, percent) {
  node.style.left = `${percent}%`;
  return node;
}

/** meter[2] before meter[10]. */
const byName = new Intl.Collator("en", { numeric: true }).compare;
