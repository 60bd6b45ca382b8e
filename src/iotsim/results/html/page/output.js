// What the gateway printed, beside what reached its other side, aligned in time.

const OUTPUT_ROW = 22;
const OUTPUT_ROWS = 16;

function startOutput(place) {
  if (run.output.t.length === 0 && run.northbound.t.length === 0) {
    place.append(element("p", { class: "quiet", text: "The gateway printed nothing, and nothing came northbound." }));
    return;
  }
  let items = [];
  const full = element("pre", { class: "full", "aria-live": "polite", text: "Choose a line to see all of it." });
  const list = new List({
    label: "Gateway output and northbound",
    rowHeight: OUTPUT_ROW,
    height: Math.min(OUTPUT_ROWS, run.output.t.length + run.northbound.t.length) * OUTPUT_ROW,
    draw: (at) => drawOutput(items[at]),
    choose: (at) => {
      full.textContent = fullText(items[at]);
    },
  });
  const head = element("div", { class: "output-head", "aria-hidden": "true" },
    ...["s", "Gateway output", "Northbound"].map((text) => element("span", { text })));
  const told = element("p", { class: "found", role: "status" });
  const refresh = () => {
    const range = { words: "", device: "", from: focus.from, to: focus.to, only: "all" };
    items = wantedItems({ ...range, sorts: new Set([OUTPUT, NORTHBOUND]) });
    list.show(items.length);
    told.textContent = outputTold(items.length);
  };
  focus.listeners.push(refresh);
  place.append(told, element("div", { class: "output-log" }, head, list.node), full);
  refresh();
}

function outputTold(shown) {
  const { output, northbound } = run;
  const kept = output.count + northbound.count;
  const total = output.total + northbound.total;
  const parts = [plural(output.total, "line"), plural(northbound.total, "northbound event")];
  if (kept < total) parts.push(`the page has ${countText(kept)} of these`);
  if (shown < kept) parts.push(`${countText(shown)} in the chosen time`);
  return `${parts.join(", ")}.`;
}

function drawOutput(item) {
  const at = placeOf(item);
  const isOutput = sortOf(item) === OUTPUT;
  const text = isOutput ? run.output.line[at] : `${run.northbound.service[at]}: ${northboundParts(at).join(" ")}`;
  const cell = element("span", { class: "text", text });
  return {
    kind: isOutput ? "of-gateway" : "of-northbound",
    nodes: [
      element("span", { class: "moment", text: momentText(timeOf(item)) }),
      isOutput ? cell : element("span"),
      isOutput ? element("span") : cell,
    ],
  };
}

function fullText(item) {
  const at = placeOf(item);
  if (sortOf(item) === OUTPUT) return run.output.line[at];
  return flatFields(Object.entries(run.northbound.fields[at])).map(([path, value]) => `${path} = ${value}`).join("\n");
}
