// The messages around each failure, a diagram each.

const DIAGRAMS_SHOWN = 12;

function startFailures(place) {
  const figures = [];
  for (const expectation of run.expectations) {
    if (expectation.state === "passed") continue;
    const groups = expectation.groups.filter(({ rows }) => rows.length > 0);
    const views = groups.map((group) => ({ expectation, group, rows: group.rows }));
    if (groups.length === 0) views.push({ expectation, group: expectation.groups[0] ?? null, rows: expectation.rows });
    figures.push(...views);
  }
  for (const view of figures.slice(0, DIAGRAMS_SHOWN)) place.append(failureFigure(view));
  if (figures.length > DIAGRAMS_SHOWN) {
    place.append(element("p", { class: "quiet", text: `${plural(figures.length - DIAGRAMS_SHOWN, "more failure")}: see Messages.` }));
  }
}

function failureFigure({ expectation, group, rows }) {
  const device = group?.shown || group?.devices[0] || "";
  const title = element("h3", {}, expectation.name, device ? element("span", { class: "who", text: device }) : null);
  const figure = element("article", { class: "failure" }, title);
  if (group?.text) figure.append(element("p", { text: group.text }));
  if (rows.length === 0) {
    figure.append(element("p", { class: "quiet", text: "There are no messages around it." }));
  } else {
    const diagram = new Diagram({ label: `Messages around: ${expectation.name} ${device}`, whole: true });
    diagram.show(itemsAround(expectation, rows));
    figure.append(diagram.node);
  }
  if (device || expectation.t !== null) {
    const around = expectation.t === null ? {} : { from: Math.max(0, expectation.t - 2), to: expectation.t + 1 };
    figure.append(element("p", { class: "more" },
      device ? lookButton(`All of ${device}`, { device, from: null, to: null }) : null,
      expectation.t === null ? null : lookButton("All devices at that time", { device: "", ...around })));
  }
  return figure;
}

/** The rows, and what else happened between the first and the last of them. */
function itemsAround(expectation, rows) {
  const times = rows.map((row) => messages.t[row]);
  if (expectation.t !== null) times.push(expectation.t);
  const from = Math.min(...times);
  const to = Math.max(...times);
  const marks = run.marks.flatMap((mark, at) => {
    const isItself = mark.what === "expectation" && mark.number === expectation.number;
    const isOther = mark.what === "expectation" && !isItself;
    return isItself || (!isOther && mark.t >= from && mark.t <= to) ? [itemOf(MARK, at)] : [];
  });
  const inside = (sort) => {
    const [first, end] = rowsBetween(TIMES[sort], from, to);
    return Array.from({ length: Math.min(end - first, 20) }, (_, at) => itemOf(sort, first + at));
  };
  const output = expectation.output.filter((at) => run.output.t[at] >= from && run.output.t[at] <= to);
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
