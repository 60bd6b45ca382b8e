// Devices, by cells of the fleet map: what became of each, as text and as a table.

const cells = (() => {
  const { columns, fleets, states } = run.devices;
  const at = Object.fromEntries(Object.entries(columns).map(([name, packed]) => [name, column(packed)]));
  const count = fleets.reduce((sum, fleet) => sum + fleet.cells, 0);
  const fleetOf = (cell) => fleets.findLast(({ first_cell: first }) => first <= cell);
  return {
    ...at,
    count,
    state: (cell) => states[at.state(cell)],
    severity: at.state,
    /** meter[3], or meter[20:40] where a cell is of several devices. */
    name(cell) {
      const fleet = fleetOf(cell);
      const first = (cell - fleet.first_cell) * fleet.per_cell;
      const end = Math.min(fleet.count, first + fleet.per_cell);
      return `${fleet.name}[${end - first > 1 ? `${first}:${end}` : first}]`;
    },
  };
})();

function cellText(cell) {
  const texts = [
    cells.name(cell),
    cells.state(cell),
    `received ${countText(cells.received(cell))}`,
    `sent ${countText(cells.sent(cell))}`,
  ];
  for (const name of ["unanswered", "undecodable", "not_sent", "impaired", "reboots"]) {
    if (cells[name](cell)) texts.push(`${name.replace("_", " ")} ${countText(cells[name](cell))}`);
  }
  if (cells.slowest(cell) !== null) texts.push(`slowest answer ${durationText(cells.slowest(cell))}`);
  if (cells.last(cell) !== null) texts.push(`last at ${threeDigits(cells.last(cell))} s`);
  return texts.join(" · ");
}

const DEVICES_LISTED = 12;
// Column, head, whether it is there also where it is 0 for all, and how a figure is told.
const DEVICE_FIGURES = [
  ["received", "received", true],
  ["sent", "sent", true],
  ["unanswered", "unanswered", true],
  ["undecodable", "undecodable", false],
  ["not_sent", "not sent", false],
  ["impaired", "impaired", false],
  ["reboots", "reboots", false],
  ["slowest", "slowest answer, ms", false, millisecondsText],
  ["last", "last at, s", true, (t) => t.toFixed(3)],
];

/** The worst devices, or those of the state that is looked at. */
function deviceTable(map, choose) {
  const all = [];
  for (let cell = 0; cell < cells.count; cell++) {
    if (map.only === null || cells.state(cell) === map.only) all.push(cell);
  }
  const slow = (cell) => cells.slowest(cell) ?? 0;
  all.sort((a, b) => cells.severity(a) - cells.severity(b) || cells.unanswered(b) - cells.unanswered(a) || slow(b) - slow(a) || a - b);
  const figures = DEVICE_FIGURES.filter(([name, , isAlways]) => isAlways || all.some((cell) => cells[name](cell)));
  const heads = ["Device", "state", ...figures.map(([, head]) => head)];
  const number = (value, text = countText) =>
    element("td", { class: `number${value ? "" : " zero"}`, text: value === null ? "–" : text(value) });
  const caption = map.only ? `Devices: ${map.only}` : "Devices, the worst first";
  const shown = all.slice(0, DEVICES_LISTED);
  return element("table", { class: "figures devices" },
    element("caption", { text: all.length > shown.length ? `${caption}: ${shown.length} of ${countText(all.length)}` : caption }),
    element("thead", {}, element("tr", {}, ...heads.map((text, at) =>
      element("th", { scope: "col", class: at > 1 ? "number" : null, text })))),
    element("tbody", {}, ...shown.map((cell) => element("tr", {},
      element("th", { scope: "row" }, element("button", { type: "button", class: "plain", text: cells.name(cell), onclick: () => choose(cell) })),
      element("td", { text: cells.state(cell) }),
      ...figures.map(([name, , , text]) => number(cells[name](cell), text))))));
}
