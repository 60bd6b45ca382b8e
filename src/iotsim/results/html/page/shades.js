// The colors of the fleet map: by state, or by a figure, in shades.

const SHADES = 6;

const COLORINGS = {
  state: ["state", null, null],
  traffic: ["messages", (cell) => cells.received(cell) + cells.sent(cell), countText],
  unanswered: ["unanswered requests", (cell) => cells.unanswered(cell), countText],
  slowest: ["slowest answer", (cell) => cells.slowest(cell), durationText],
  last: ["last heard or said anything", (cell) => cells.last(cell), (t) => `${threeDigits(t)} s`],
};

function mapColors() {
  const names = ["ink", "paper", "accent", "nothing", ...run.devices.states.map(stateColor)];
  for (let shade = 0; shade < SHADES; shade++) names.push(`shade-${shade}`);
  return Object.fromEntries(names.map((name) => [name, colorOf(name)]));
}

function stateColor(state) {
  return `state-${state.replace(" ", "-")}`;
}

/** What gives a cell its color: by its state, or by a figure, in shades of which each has as many cells. */
function shading(coloring) {
  const valueOf = COLORINGS[coloring][1];
  if (!valueOf) return (cell, colors) => colors[stateColor(cells.state(cell))];
  const limits = shadeLimits(coloring);
  return (cell, colors) => {
    const value = valueOf(cell);
    if (value === null || value === undefined) return colors.nothing;
    const shade = limits.findIndex((limit) => value <= limit);
    return colors[`shade-${shade === NONE ? SHADES - 1 : shade}`];
  };
}

/** The largest value of each shade; fewer where values are few. */
function shadeLimits(coloring) {
  const valueOf = COLORINGS[coloring][1];
  const values = [];
  for (let cell = 0; cell < cells.count; cell++) {
    const value = valueOf(cell);
    if (value !== null && value !== undefined) values.push(value);
  }
  values.sort((a, b) => a - b);
  const limits = [];
  for (let shade = 1; shade <= SHADES; shade++) {
    const limit = values[Math.ceil((shade * values.length) / SHADES) - 1];
    if (limit !== undefined && limit !== limits.at(-1)) limits.push(limit);
  }
  return limits;
}

function legendItems(map, toggle) {
  const [, valueOf, format] = COLORINGS[map.coloring];
  const key = (name) => {
    const swatch = element("span", { class: `swatch ${name}`, "aria-hidden": "true" });
    swatch.style.background = map.colors[name];
    return swatch;
  };
  if (valueOf) {
    return shadeLimits(map.coloring).map((limit, shade) =>
      element("li", {}, key(`shade-${shade}`), `up to ${format(limit)}`));
  }
  return run.devices.states.filter((state) => run.devices.counts[state] > 0).map((state) =>
    element("li", {}, element("button", {
      type: "button",
      "aria-pressed": String(map.only === state),
      title: STATE_TEXTS[state] ?? "",
      onclick: () => toggle(state),
    }, key(stateColor(state)), `${state} `, element("b", { text: countText(run.devices.counts[state]) }))));
}
