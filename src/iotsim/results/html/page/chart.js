// A chart of lines over the time of the run. The lines stretch with the page, whatever stands at them does not,
// so it needs no drawing anew when the page is resized or printed.

const PLOT_WIDTH = 1000;
const PLOT_HEIGHT = 100;

/**
 * `series`: [{name, kind, values}], a value for each bin or null. Gives {node, tell(bin)}: with a bin, the chart's
 * legend tells the values there.
 */
function lineChart({ title, note = "", series, scale, format }) {
  const lines = series.flatMap(({ kind, values }) => linePaths(values, scale).map((d, at) => drawn("path", {
    class: `line ${kind}${at ? " alone" : ""}`, d, "vector-effect": "non-scaling-stroke",
  })));
  const grid = scale.ticks.map((tick) => {
    const y = PLOT_HEIGHT * (1 - scale.at(tick));
    return drawn("line", { class: "grid", x1: 0, x2: PLOT_WIDTH, y1: y, y2: y, "vector-effect": "non-scaling-stroke" });
  });
  const values = series.map(() => element("span", { class: "value" }));
  const legend = element("ul", { class: "legend" }, ...series.map(({ name, kind }, at) =>
    element("li", {}, element("span", { class: `key ${kind}`, "aria-hidden": "true" }), `${name} `, values[at])));
  const node = element(
    "div",
    { class: "chart" },
    element("div", { class: "chart-head" }, element("h3", { text: title }), legend),
    note ? element("p", { class: "quiet chart-note", text: note }) : null,
    element("div", { class: "gutter" }, ...scale.ticks.map((tick) => {
      const label = element("span", { text: format(tick) });
      label.style.bottom = `${100 * scale.at(tick)}%`;
      return label;
    })),
    element("div", { class: "plot" }, drawn("svg", {
      viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${title}: ${series.map(({ name, values: all }) => `${name} at most ${format(largest(all))}`).join(", ")}`,
    }, ...grid, ...lines)),
  );
  return {
    node,
    tell(bin) {
      series.forEach(({ values: all }, at) => {
        const value = bin === null ? null : all[bin];
        values[at].textContent = value === null || value === undefined ? "" : format(value);
      });
    },
  };
}

/** The lines through values that follow each other, and the points between gaps, which are lines of no length. */
function linePaths(values, scale) {
  const width = PLOT_WIDTH / values.length;
  const isThere = (bin) => values[bin] !== null && values[bin] !== undefined;
  let lines = "";
  let points = "";
  values.forEach((value, bin) => {
    if (!isThere(bin)) return;
    const place = `${((bin + 0.5) * width).toFixed(2)} ${(PLOT_HEIGHT * (1 - Math.min(1, scale.at(value)))).toFixed(2)}`;
    if (isThere(bin - 1)) lines += `L${place}`;
    else if (isThere(bin + 1)) lines += `M${place}`;
    else points += `M${place}L${place}`;
  });
  return [lines, points].filter((path, at) => at === 0 || path);
}

function largest(values) {
  return values.reduce((most, value) => (value !== null && value > most ? value : most), 0);
}

function sumOf(lists, bins) {
  const sum = new Array(bins).fill(0);
  for (const list of lists) for (let bin = 0; bin < bins; bin++) sum[bin] += list[bin];
  return sum;
}
