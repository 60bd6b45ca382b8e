// Rates, latency and what went on, above one time axis; a range of it that is chosen holds for the whole page.

function startTimeline(place) {
  const { bins, width, end } = run.axis;
  const charts = [rateChart(), ...run.latency.map(latencyChart)].filter(Boolean);
  const ticks = timeTicks(end, 8);
  const axis = element("div", { class: "time-axis", "aria-hidden": "true" }, element("div", { class: "plot" },
    ...ticks.map((t) => {
      const at = (100 * t) / end;
      return placed(element("span", { class: at < 1 ? "at-start" : at > 98 ? "at-end" : null, text: timeTickText(t, end) }), at);
    })));
  const cursor = element("div", { class: "cursor", hidden: true }, element("span"));
  const band = element("div", { class: "band", hidden: true });
  const surface = element("div", {
    class: "surface",
    tabindex: "0",
    role: "slider",
    "aria-label": "Time. Arrow keys move, with shift they choose a range, escape clears it.",
    "aria-valuemin": 0,
    "aria-valuemax": end,
    "aria-valuenow": 0,
    "aria-valuetext": "start",
  }, band, cursor);
  const told = element("p", { class: "range-told", role: "status" });
  const whole = element("button", { type: "button", text: "Whole run", disabled: true, onclick: () => focus.set({ from: null, to: null }) });
  place.append(
    element("div", { class: "range" }, told, whole),
    element("div", { class: "charts" }, ...charts.map(({ node }) => node), element("div", { class: "lanes-here" }, ...lanes()), axis, surface),
    ...[latencyTable()].filter(Boolean),
  );

  let at = null; // the bin where the cursor is
  let anchor = null; // where a range began
  const point = (bin) => {
    at = bin;
    cursor.hidden = bin === null;
    for (const chart of charts) chart.tell(bin);
    if (bin === null) return;
    const t = (bin + 0.5) * width;
    placed(cursor, (100 * t) / end);
    cursor.firstChild.textContent = `${threeDigits(t)} s`;
    cursor.classList.toggle("late", t > 0.9 * end);
    surface.setAttribute("aria-valuenow", t.toFixed(3));
    surface.setAttribute("aria-valuetext", spokenValues(t, charts));
  };
  const mark = (first, second) => {
    band.hidden = first === null;
    if (first === null) return;
    placed(band, (100 * Math.min(first, second)) / end);
    band.style.width = `${(100 * Math.abs(second - first)) / end}%`;
  };
  const timeAt = (event) => {
    const box = surface.getBoundingClientRect();
    return end * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const binAt = (t) => Math.min(bins - 1, Math.floor(t / width));

  surface.addEventListener("pointermove", (event) => {
    const t = timeAt(event);
    point(binAt(t));
    if (anchor !== null) mark(anchor, t);
  });
  surface.addEventListener("pointerleave", () => {
    if (anchor === null && document.activeElement !== surface) point(null);
  });
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    anchor = timeAt(event);
  });
  surface.addEventListener("pointerup", (event) => {
    if (anchor === null) return;
    const [from, to] = [anchor, timeAt(event)].sort((a, b) => a - b);
    anchor = null;
    // Less than some pixels is a click.
    if (to - from < (4 * end) / surface.clientWidth) mark(focus.from, focus.to ?? end);
    else focus.set({ from, to });
  });
  surface.addEventListener("dblclick", () => focus.set({ from: null, to: null }));
  surface.addEventListener("blur", () => point(null));
  surface.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -bins, End: bins };
    if (event.key === "Escape") focus.set({ from: null, to: null });
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = at ?? 0;
    const next = Math.min(bins - 1, Math.max(0, (at ?? (steps[event.key] > 0 ? NONE : 1)) + steps[event.key]));
    if (event.shiftKey) {
      surface.anchorBin ??= from;
      const [first, last] = [surface.anchorBin, next].sort((a, b) => a - b);
      focus.set({ from: first * width, to: (last + 1) * width });
    } else surface.anchorBin = undefined;
    point(next);
  });
  const follow = () => {
    const isWhole = focus.from === null && focus.to === null;
    whole.disabled = isWhole;
    mark(isWhole ? null : (focus.from ?? 0), Math.min(end, focus.to ?? end));
    told.textContent = isWhole
      ? `The whole run, ${durationText(end)}. Drag to choose a time.`
      : `From ${threeDigits(focus.from ?? 0)} s to ${threeDigits(focus.to ?? end)} s: the messages and the output below are of this time.`;
  };
  focus.listeners.push(follow);
  follow();
}

function spokenValues(t, charts) {
  const texts = charts.map(({ node }) => node.querySelector(".legend").textContent.replace(/\s+/g, " ").trim());
  return `${threeDigits(t)} s: ${texts.join("; ")}`;
}

function rateChart() {
  const { bins, width } = run.axis;
  const known = [
    ["received", "to devices", "in"],
    ["sent", "from devices", "out"],
    ["undecodable", "undecodable", "wrong"],
    ["not-sent", "not sent", "unsent"],
  ];
  const series = known.flatMap(([direction, name, kind]) => {
    const rows = run.rates.filter((rate) => rate.direction === direction);
    if (rows.length === 0) return [];
    const counts = sumOf(rows.map(({ over_time: all }) => all), bins);
    // What should not be is drawn only where it is.
    const isFault = kind === "wrong" || kind === "unsent";
    return [{ name, kind, values: counts.map((count) => (isFault && count === 0 ? null : count / width)) }];
  });
  if (series.length === 0) return null;
  const scale = linearScale(Math.max(...series.map(({ values }) => largest(values))));
  return lineChart({ title: "Messages per second", series, scale, format: rateText });
}

const ASKERS = {
  gateway: ["Latency of devices", "From a request’s arrival at a device to when its answer left: what the scenario makes of it."],
  device: ["Latency of the gateway", "From when a device asked to when the gateway’s answer arrived."],
};

function latencyChart({ asker, inferred, over_time: times }) {
  const known = [["p50", "half"], ["p90", "most"], ["p99", "nearly-all"], ["max", "extreme"]];
  const series = known.map(([name, kind]) => ({ name, kind, values: times[name] }));
  const all = series.flatMap(({ values }) => values).filter((value) => value !== null && value > 0);
  if (all.length === 0) return null;
  const most = Math.max(...all);
  const least = all.reduce((a, b) => Math.min(a, b));
  const scale = most / least > 50 ? logScale(least, most) : linearScale(most);
  const [title, what] = ASKERS[asker];
  const note = `${what}${inferred ? ` Answers are paired by ${inferred}.` : ""}${scale.isLog ? " Logarithmic." : ""}`;
  return lineChart({ title, note, series, scale, format: (value) => (value === 0 ? "0" : durationText(value)) });
}

/** Latency by the kind of request, as figures. */
function latencyTable() {
  const rows = run.latency.flatMap(({ asker, kinds }) => kinds.map((kind) => ({ asker, ...kind })));
  if (rows.length === 0) return null;
  const number = (text) => element("td", { class: "number", text });
  const time = (value) => number(value === null || value === undefined ? "–" : millisecondsText(value));
  const heads = ["Request", "asked by", "asked", "answered", "p50, ms", "p90, ms", "p99, ms", "max, ms"];
  return element("div", { class: "wide" }, element("table", { class: "figures" },
    element("caption", { text: "Latency by kind of request" }),
    element("thead", {}, element("tr", {}, ...heads.map((text, at) =>
      element("th", { scope: "col", class: at > 1 ? "number" : null, text })))),
    element("tbody", {}, ...rows.slice(0, 30).map((row) => element("tr", {},
      element("th", { scope: "row", text: stringAt(row.kind) || "others" }),
      element("td", { text: row.asker }),
      number(countText(row.requests)),
      number(countText(row.answered)),
      time(row.p50), time(row.p90), time(row.p99), time(row.max))))));
}
