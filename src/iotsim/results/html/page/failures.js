// The messages around each failure, a diagram each.

const GRAVITY = ["error", "failed", "inconclusive", "warning"];
const FAILURES_SHOWN = 12;
const MESSAGES_BEFORE = 14;
const MESSAGES_AFTER = 8;
const LINES_AROUND = 12;

function startFailures(place) {
  // In the order of the expectations above, which the page has put by their gravity.
  const missed = run.expectations.filter(({ state }) => state !== "passed");
  missed.sort((a, b) => GRAVITY.indexOf(a.state) - GRAVITY.indexOf(b.state));
  missed.slice(0, FAILURES_SHOWN).forEach((expectation) => {
    const groups = expectation.groups.filter(({ rows }) => rows.length > 0);
    const [first = expectation.groups[0] ?? null, ...others] = groups;
    place.append(failureFigure(expectation, first, first?.rows.length ? first.rows : expectation.rows));
    for (const group of others) place.append(folded(expectation, group));
  });
  if (missed.length > FAILURES_SHOWN) {
    const text = `${plural(missed.length - FAILURES_SHOWN, "more expectation")} did not hold: see their messages below.`;
    place.append(element("p", { class: "quiet", text }));
  }
}

/** The diagram of devices that failed in another way, drawn once it is unfolded. */
function folded(expectation, group) {
  const summary = element("summary", {}, `${expectation.name}: also `, element("span", { class: "who", text: group.shown || group.devices[0] }));
  const details = element("details", { class: "folded" }, summary);
  details.addEventListener("toggle", () => details.append(failureFigure(expectation, group, group.rows)), { once: true });
  return details;
}

function failureFigure(expectation, group, rows) {
  const device = group?.shown || group?.devices[0] || "";
  const t = group?.t ?? expectation.t;
  const title = element("h3", {}, expectation.name, device ? element("span", { class: "who", text: device }) : null);
  const figure = element("article", { class: "failure" }, title);
  if (group?.text) figure.append(element("p", { text: group.text }));
  if (rows.length === 0) {
    figure.append(element("p", { class: "quiet", text: "There are no messages around it." }));
  } else {
    const diagram = new Diagram({ label: `Messages around: ${expectation.name} ${device}`, whole: true });
    diagram.show(...withoutRepeats(itemsAround(expectation, nearestRows(rows, t), t)));
    figure.append(diagram.node);
  }
  if (device || t !== null) {
    const around = t === null ? {} : { from: Math.max(0, t - 2), to: t + 1 };
    figure.append(element("p", { class: "more" },
      device ? lookButton(`All of ${device}`, { device, from: null, to: null }) : null,
      t === null ? null : lookButton("All devices at that time", { device: "", ...around })));
  }
  return figure;
}

/** Of `rows`, which are in the order of time, those next to `t`. */
function nearestRows(rows, t) {
  if (t === null) return rows.slice(-MESSAGES_BEFORE - MESSAGES_AFTER);
  const after = rows.findIndex((row) => messages.t[row] > t);
  const middle = after === NONE ? rows.length : after;
  return rows.slice(Math.max(0, middle - MESSAGES_BEFORE), middle + MESSAGES_AFTER);
}

/** The items, and how often each was followed by others that say the same northbound, which are left out. */
function withoutRepeats(items) {
  const repeats = new Map();
  const kept = [];
  for (const item of items) {
    const last = kept.at(-1);
    const isRepeat = last !== undefined && sortOf(item) === NORTHBOUND && sortOf(last) === NORTHBOUND
      && northboundParts(placeOf(item))[0] === northboundParts(placeOf(last))[0];
    if (isRepeat) repeats.set(last, (repeats.get(last) ?? 0) + 1);
    else kept.push(item);
  }
  return [kept, repeats];
}

/** The rows, and what else happened between the first and the last of them. */
function itemsAround(expectation, rows, t) {
  const times = rows.map((row) => messages.t[row]);
  if (t !== null) times.push(t);
  const from = Math.min(...times);
  const to = Math.max(...times);
  const marks = run.marks.flatMap((mark, at) => {
    const isItself = mark.what === "expectation" && mark.number === expectation.number;
    const isOther = mark.what === "expectation" && !isItself;
    if (OF_DEVICES.has(mark.what)) return [];
    return isItself || (!isOther && mark.t >= from && mark.t <= to) ? [itemOf(MARK, at)] : [];
  });
  const inside = (sort) => {
    const [first, end] = rowsBetween(TIMES[sort], from, to);
    return Array.from({ length: end - first }, (_, at) => itemOf(sort, first + at));
  };
  const output = expectation.output.filter((at) => run.output.t[at] >= from && run.output.t[at] <= to).slice(-LINES_AROUND);
  return merged([
    rows.map((row) => itemOf(MESSAGE, row)), marks, inside(NORTHBOUND), output.map((at) => itemOf(OUTPUT, at)),
  ]);
}

function lookButton(text, changes) {
  return element("button", { type: "button", text, onclick: () => {
    focus.set(changes);
    document.getElementById("messages").scrollIntoView();
    document.querySelector("#messages .list").focus({ preventScroll: true });
  } });
}
