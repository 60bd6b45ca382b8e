// The messages of any device and any time, as a sequence diagram, with what else happened then.

const SORTS_SHOWN = [
  [MESSAGE, "messages", true],
  [MARK, "steps, faults, verdicts", true],
  [NORTHBOUND, "northbound", true],
  [OUTPUT, "gateway output", false],
];
const TYPING_MS = 150;

function startExplorer(place) {
  const diagram = new Diagram({ label: "Messages", height: 16 * ROW_HEIGHT });
  const input = (properties) => element("input", { autocomplete: "off", spellcheck: "false", ...properties });
  const words = input({ type: "search", id: "search", placeholder: "READ seq=12 lost …" });
  const device = input({ type: "text", id: "device", list: "device-names", placeholder: "all" });
  const from = input({ type: "number", id: "from", min: "0", step: "any", placeholder: "start" });
  const to = input({ type: "number", id: "to", min: "0", step: "any", placeholder: "end" });
  const only = element("select", { id: "only" },
    ...Object.entries(KINDS_WANTED).map(([value, [text]]) => element("option", { value, text })));
  const sorts = SORTS_SHOWN.filter(([sort]) => TIMES[sort].length > 0 || sort === MESSAGE);
  const boxes = sorts.map(([sort, text, checked]) => [sort, input({ type: "checkbox", checked }), text]);
  const found = element("p", { class: "found", role: "status" });
  const clear = element("button", { type: "reset", text: "Clear" });
  const labelled = (text, control, kind = "") =>
    element("label", { class: kind }, element("span", { text }), control);

  const form = element(
    "form",
    { class: "filter", "aria-label": "Filter" },
    labelled("Search", words, "grow"),
    labelled("Device", device),
    labelled("From, s", from),
    labelled("To, s", to),
    labelled("Show", only),
    clear,
    element("fieldset", { class: "sorts" },
      element("legend", { class: "hidden", text: "What is shown" }),
      ...boxes.map(([, box, text]) => element("label", {}, box, text))),
    found,
  );

  const number = (control) => (control.value === "" ? null : Number(control.value));
  let shown = "";
  const refresh = () => {
    const checked = boxes.filter(([, box]) => box.checked).map(([sort]) => sort);
    const wanted = {
      words: words.value,
      device: device.value,
      from: number(from),
      to: number(to),
      only: only.value,
    };
    // A field that is left tells again of what it has told: what is chosen stays.
    const asText = JSON.stringify([wanted, checked]);
    if (asText === shown) return;
    shown = asText;
    const items = wantedItems({ ...wanted, sorts: new Set(checked) });
    diagram.show(items);
    found.textContent = foundText(items, wanted);
  };

  words.addEventListener("focus", prepareSearch, { once: true });
  let typing = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  const apply = () => {
    // What the rest of the page looks at, too, it is told.
    if (number(from) !== focus.from || number(to) !== focus.to || device.value !== focus.device) {
      focus.set({ from: number(from), to: number(to), device: device.value });
    } else refresh();
  };
  for (const happened of ["input", "change"]) {
    form.addEventListener(happened, () => {
      clearTimeout(typing);
      typing = setTimeout(apply, TYPING_MS);
    });
  }
  form.addEventListener("reset", () => setTimeout(() => focus.set({ from: null, to: null, device: "" })));
  focus.listeners.push(() => {
    const text = (value) => (value === null ? "" : String(Number(value.toFixed(6))));
    if (number(from) !== focus.from) from.value = text(focus.from);
    if (number(to) !== focus.to) to.value = text(focus.to);
    device.value = focus.device;
    refresh();
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      words.focus();
    }
  });

  place.append(form, deviceNames());
  if (!run.messages.whole && run.messages.left_out) {
    place.append(element("p", { class: "quiet", text: run.messages.left_out }));
  }
  place.append(diagram.node);
  refresh();
  return { diagram, show: (changes) => focus.set(changes) };
}

/** How many messages are shown, of how many, and whether the run had others like them. */
function foundText(items, { device, from, to }) {
  const count = items.reduce((sum, item) => sum + (sortOf(item) === MESSAGE ? 1 : 0), 0);
  if (count === messages.count) return `${plural(count, "message")}${run.messages.whole ? "" : ` of ${countText(run.messages.total)}`}`;
  const shown = `${countText(count)} of ${plural(messages.count, "message")}`;
  return isComplete(device.trim(), from, to) ? shown : `${shown}; the run had more, which are not in the page`;
}

/** Suggestions: fleets, and the devices that failed. */
function deviceNames() {
  const failed = run.expectations.filter(({ state }) => state !== "passed").flatMap(({ devices }) => devices);
  const names = new Set([...run.devices.fleets.map(({ name }) => name), ...failed]);
  return element("datalist", { id: "device-names" }, ...[...names].map((value) => element("option", { value })));
}
