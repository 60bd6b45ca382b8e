// The fleet map: a cell for each device (of very many, for several), colored by what became of it.

const STATE_TEXTS = {
  broken: "its behavior raised",
  failed: "named by a failed expectation",
  "in doubt": "named by an inconclusive one",
  warning: "named by a warning",
  troubled: "undecodable or unsent messages",
  silent: "neither heard nor said anything",
  heard: "heard, said nothing",
  spoke: "heard and answered, or spoke",
};
function startFleet(place) {
  const select = element("select", { id: "coloring" },
    ...Object.entries(COLORINGS).map(([value, [text]]) => element("option", { value, text })));
  const legend = element("ul", { class: "map-legend" });
  const told = element("p", { class: "map-told", role: "status" });
  const look = element("button", { type: "button", text: "Its messages", disabled: true });
  const table = element("div", { class: "wide" });
  const map = { coloring: "state", only: null, chosen: NONE, colors: {} };
  const maps = run.devices.fleets.map((fleet) => new FleetMap(fleet, map, choose));
  const redraw = () => {
    map.colors = mapColors();
    map.shade = shading(map.coloring);
    for (const one of maps) one.redraw();
    legend.replaceChildren(...legendItems(map, (state) => {
      map.only = map.only === state ? null : state;
      redraw();
    }));
    table.replaceChildren(deviceTable(map, choose));
  };

  function choose(cell) {
    map.chosen = cell;
    told.textContent = cellText(cell);
    look.disabled = false;
    for (const one of maps) one.redraw();
    focus.set({ device: cells.name(cell) });
  }

  select.addEventListener("change", () => {
    map.coloring = select.value;
    map.only = null;
    redraw();
  });
  look.addEventListener("click", () => document.getElementById("messages").scrollIntoView());
  told.textContent = `${plural(run.devices.total, "device")}. Choose one to see what it heard and said.`;
  place.append(
    element("div", { class: "map-head" }, element("label", {}, element("span", { text: "Color by" }), select), legend),
    ...maps.map(({ node }) => node),
    element("div", { class: "map-foot" }, told, look),
    table,
  );
  themeListeners.push(redraw);
  redraw();
}

/** A fleet's part of the map. */
class FleetMap {
  constructor(fleet, map, choose) {
    Object.assign(this, { fleet, map, choose });
    this.pitch = pitchFor(cells.count);
    this.canvas = element("canvas", {
      tabindex: "0",
      role: "application",
      "aria-roledescription": "fleet map",
      "aria-label": `${fleet.name}, ${plural(fleet.count, "device")}: arrow keys move, enter chooses`,
      onclick: (event) => this.onClick(event),
      onkeydown: (event) => this.onKey(event),
      onmousemove: (event) => this.onMove(event),
      onfocus: () => this.redraw(),
      onblur: () => this.redraw(),
    });
    this.at = 0;
    this.node = element("div", { class: "fleet" },
      element("h3", {}, fleet.name, element("span", { class: "quiet", text: fleetText(fleet) })), this.canvas);
    new ResizeObserver(onNextFrame(() => this.redraw())).observe(this.node);
    // There may be thousands of fleets: those that nobody sees have no picture.
    this.isNear = false;
    new IntersectionObserver(([{ isIntersecting }]) => this.setNear(isIntersecting), { rootMargin: "600px" }).observe(this.node);
    addEventListener("beforeprint", () => this.setNear(true));
  }

  setNear(isNear) {
    this.isNear = isNear;
    this.redraw();
  }

  redraw() {
    const width = this.node.clientWidth || 1000;
    const ratio = window.devicePixelRatio || 1;
    this.perLine = Math.max(1, Math.floor(width / this.pitch));
    const height = Math.ceil(this.fleet.cells / this.perLine) * this.pitch;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = this.isNear ? width * ratio : 0;
    this.canvas.height = this.isNear ? height * ratio : 0;
    if (!this.isNear) return;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const size = this.pitch - (this.pitch > 8 ? 2 : 1);
    const { map } = this;
    for (let place = 0; place < this.fleet.cells; place++) {
      const cell = this.fleet.first_cell + place;
      const [x, y] = this.corner(place);
      context.globalAlpha = map.only === null || cells.state(cell) === map.only ? 1 : 0.15;
      context.fillStyle = map.shade(cell, map.colors);
      context.fillRect(x, y, size, size);
      if (map.coloring === "state") this.drawSign(context, cells.state(cell), x, y, size);
    }
    context.globalAlpha = 1;
    this.outline(context, map.chosen - this.fleet.first_cell, map.colors.ink, size);
    if (document.activeElement === this.canvas) this.outline(context, this.at, map.colors.accent, size);
  }

  corner(place) {
    return [(place % this.perLine) * this.pitch, Math.floor(place / this.perLine) * this.pitch];
  }

  /** What tells states apart without colors. */
  drawSign(context, state, x, y, size) {
    context.fillStyle = this.map.colors.paper;
    if (state === "silent" && size > 3) context.fillRect(x + 1, y + 1, size - 2, size - 2);
    if (size < 6) return;
    const part = Math.max(2, Math.round(size / 3));
    const inset = Math.floor((size - part) / 2);
    if (state === "failed" || state === "broken") context.fillRect(x + inset, y + inset, part, part);
    if (state === "in doubt" || state === "warning") context.fillRect(x + inset, y + 1, part, size - 2);
    if (state === "troubled") context.fillRect(x + 1, y + inset, size - 2, part);
  }

  outline(context, place, color, size) {
    if (place < 0 || place >= this.fleet.cells) return;
    const [x, y] = this.corner(place);
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
  }

  placeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = Math.floor((event.clientX - box.left) / this.pitch);
    const place = Math.floor((event.clientY - box.top) / this.pitch) * this.perLine + across;
    return across >= 0 && across < this.perLine && place >= 0 && place < this.fleet.cells ? place : NONE;
  }

  onMove(event) {
    const place = this.placeAt(event);
    this.canvas.title = place === NONE ? "" : cellText(this.fleet.first_cell + place);
  }

  onClick(event) {
    const place = this.placeAt(event);
    if (place === NONE) return;
    this.at = place;
    this.choose(this.fleet.first_cell + place);
  }

  onKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.perLine, ArrowDown: this.perLine, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(this.fleet.first_cell + this.at);
    }
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.at = Math.min(this.fleet.cells - 1, Math.max(0, this.at + steps[event.key]));
    this.redraw();
    this.canvas.setAttribute("aria-label", cellText(this.fleet.first_cell + this.at));
  }
}

function pitchFor(count) {
  const sizes = [[64, 24], [400, 16], [2000, 11], [6000, 8]];
  return sizes.find(([most]) => count <= most)?.[1] ?? 6;
}

function fleetText({ count, protocols, addresses, per_cell: perCell }) {
  const texts = [plural(count, "device"), protocols.join(", "), addresses.join(", ")];
  if (perCell > 1) texts.push(`a cell is ${perCell} devices`);
  return texts.filter(Boolean).join(" · ");
}
