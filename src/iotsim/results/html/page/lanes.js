// What went on, on the time axis: a lane each for the gateway's lives, faults, impairments, steps and so on.

const LANE_OF_MARK = {
  "link-up": "gateway",
  "gateway-started": "gateway",
  "gateway-ready": "gateway",
  "gateway-exited": "gateway",
  "gateway-paused": "gateway",
  fault: "faults",
  step: "steps",
  command: "steps",
  note: "notes",
  lag: "simulator late",
  expectation: "verdicts",
  "device-failed": "devices",
  "session-failed": "devices",
  "device-rebooted": "devices",
};
const LANE_ORDER = ["gateway", "verdicts", "steps", "faults", "devices", "notes", "simulator late"];
const LINES_IN_LANE = 4;

/** The lanes that have something, as nodes. */
function lanes() {
  const { end } = run.axis;
  const percent = (t) => `${Math.min(100, Math.max(0, (100 * t) / end))}%`;
  const nodes = [];
  if (!run.messages.whole) {
    const kept = run.messages.spans.map(([t, until]) => ({ t, until, what: "kept", text: "" }));
    nodes.push(laneNode("messages here", ...laneOfMarks(kept, percent, end), "", "Times of which all messages are in the page"));
  }
  for (const name of LANE_ORDER) {
    const marks = run.marks.filter(({ what }) => LANE_OF_MARK[what] === name);
    if (marks.length > 0) nodes.push(laneNode(name, ...laneOfMarks(marks, percent, end)));
  }
  for (const name of new Set(run.impairments.map((impairment) => impairment.name))) {
    const all = run.impairments.filter((impairment) => impairment.name === name);
    const total = all.reduce((sum, impairment) => sum + impairment.total, 0);
    const told = all.map(({ fate, direction, total: some }) => [countText(some), direction, fate].filter(Boolean).join(" "));
    const counts = sumOf(all.map(({ over_time: some }) => some), run.axis.bins);
    nodes.push(laneNode(name, [strip(counts, "impaired")], 1, countText(total), `${name}: ${told.join(", ")}`));
  }
  for (const [name, { t }] of [["output", run.output], ["northbound", run.northbound]]) {
    if (t.length > 0) nodes.push(laneNode(name, [strip(binned(t), name)], 1, countText(t.length), `${plural(t.length, name === "output" ? "line" : "event")}`));
  }
  return nodes;
}

function laneNode(name, content, lines, told = "", title = "") {
  const body = element("div", { class: "plot lane-body", title: title || null }, ...content);
  body.style.height = `${lines * 18 + 4}px`;
  return element(
    "div",
    { class: "lane" },
    element("div", { class: "gutter lane-name", title: title || name }, element("span", { text: name }), told ? element("small", { text: told }) : null),
    body,
  );
}

/** Ticks of what does not last, and below them bars of what does, below each other where they overlap. */
function laneOfMarks(marks, percent, end) {
  const ends = marks.every(({ until }) => until !== undefined) ? [] : [Infinity];
  const nodes = marks.map((mark) => {
    const lasts = mark.until !== undefined;
    const until = mark.until ?? end;
    let line = 0;
    if (lasts) {
      line = ends.findIndex((free) => free <= mark.t);
      if (line === NONE) line = Math.min(ends.length, LINES_IN_LANE);
      ends[line] = Math.max(until, ends[line] ?? 0);
    }
    const node = element("span", {
      class: `${lasts ? "bar" : "tick"} of-${mark.what}${mark.bad ? " bad" : ""}`,
      title: mark.text ? `${momentText(mark.t)} s: ${markTitle(mark)}: ${mark.text}` : null,
    }, lasts ? element("span", { text: mark.text }) : null);
    node.style.left = percent(mark.t);
    node.style.top = `${line * 18 + 2}px`;
    if (lasts) node.style.width = `calc(${percent(until)} - ${percent(mark.t)})`;
    return node;
  });
  return [nodes, Math.max(1, ends.length)];
}

/** How much there was over time, as shades. */
function strip(counts, kind) {
  const most = largest(counts) || 1;
  const width = PLOT_WIDTH / counts.length;
  const cells = counts.flatMap((count, bin) => (count === 0 ? [] : [drawn("rect", {
    x: (bin * width).toFixed(2),
    width: Math.max(width, 2).toFixed(2),
    y: 0,
    height: 10,
    opacity: (0.3 + 0.7 * (count / most)).toFixed(2),
  })]));
  return drawn("svg", {
    class: `strip ${kind}`, viewBox: `0 0 ${PLOT_WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ...cells);
}

/** How many of `times` are in each bin of the axis. */
function binned(times) {
  const counts = new Array(run.axis.bins).fill(0);
  for (const t of times) counts[Math.min(run.axis.bins - 1, Math.floor(t / run.axis.width))]++;
  return counts;
}
