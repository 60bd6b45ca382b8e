// Which messages are wanted: by words, device, time and what became of them.

const KINDS_WANTED = {
  all: ["all messages", () => true],
  received: ["received by devices", (row) => messages.what(row) === "received"],
  sent: ["sent by devices", (row) => messages.what(row) === "sent"],
  unanswered: ["received, not answered", (row) =>
    messages.what(row) === "received" && messages.layer(row) !== "wire" && messages.answer[row] === NONE],
  impaired: ["impaired", (row) => messages.impaired(row) !== ""],
  wrong: ["undecodable, not sent, failed", (row) => !["received", "sent"].includes(messages.what(row))],
};

/** Whether a device is one of those that `text` selects, as scenarios do: meter, meter[3], meter[0:10], meter[::2]. */
function deviceTest(text) {
  const selector = text.trim();
  if (!selector) return () => true;
  const found = /^(.*?)\[(-?\d*)(?::(-?\d*))?(?::(\d*))?\]$/.exec(selector);
  if (!found) return (device) => device === selector || device.startsWith(`${selector}[`);
  const [, fleet, start, stop, step] = found;
  const count = run.devices.fleets.find(({ name }) => name === fleet)?.count ?? 0;
  const at = (part, otherwise) => (part ? (Number(part) < 0 ? count + Number(part) : Number(part)) : otherwise);
  const isSlice = selector.slice(fleet.length).includes(":");
  const first = at(start, 0);
  const end = isSlice ? at(stop, Infinity) : first + 1;
  const every = Number(step) || 1;
  return (device) => {
    if (!device.startsWith(`${fleet}[`)) return false;
    const index = Number(device.slice(fleet.length + 1, -1));
    return index >= first && index < end && (index - first) % every === 0;
  };
}

/** All that can be searched of an item, in lower case; made when it is first asked for. */
const searchTexts = new Map();

function searchText(item) {
  let text = searchTexts.get(item);
  if (text === undefined) searchTexts.set(item, text = textOf(item).toLowerCase());
  return text;
}

/** Makes the texts of messages little by little, while whoever is about to search still types. */
function prepareSearch() {
  let row = 0;
  const goOn = (deadline) => {
    while (row < messages.count && deadline.timeRemaining() > 2) searchText(itemOf(MESSAGE, row++));
    if (row < messages.count) requestIdleCallback(goOn);
  };
  window.requestIdleCallback?.(goOn);
}

function textOf(item) {
  const at = placeOf(item);
  if (sortOf(item) === OUTPUT) return run.output.line[at];
  if (sortOf(item) === MARK) return `${markTitle(run.marks[at])} ${run.marks[at].text}`;
  const told = (fields) => flatFields(fields).map(([path, value]) => `${path}=${value}`).join(" ");
  if (sortOf(item) === NORTHBOUND) {
    return `${run.northbound.service[at]} ${told(Object.entries(run.northbound.fields[at]))}`;
  }
  return [
    messages.device(at), messages.peer(at), messages.protocol(at), messages.what(at), messages.kind(at),
    told(messages.fields(at) ?? []), messages.impaired(at), messages.fate(at), messages.text(at),
  ].join(" ");
}

/** The items that are wanted, in order. `wanted`: {words, device, from, to, only, sorts}. */
function wantedItems({ words, device, from, to, only, sorts }) {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const isOfDevice = deviceTest(device);
  const isWanted = KINDS_WANTED[only][1];
  const verdicts = new Map(); // of devices: there are fewer than messages
  const lists = [];
  for (const sort of [MARK, MESSAGE, NORTHBOUND, OUTPUT]) {
    if (!sorts.has(sort)) continue;
    const [first, end] = rowsBetween(TIMES[sort], from ?? -Infinity, to ?? Infinity);
    const list = [];
    for (let at = first; at < end; at++) {
      if (sort === MESSAGE) {
        const name = messages.device(at);
        if (!verdicts.has(name)) verdicts.set(name, isOfDevice(name));
        if (!verdicts.get(name) || !isWanted(at)) continue;
      }
      if (sort === MARK && OF_DEVICES.has(run.marks[at].what)) continue;
      const item = itemOf(sort, at);
      if (parts.length > 0 && !parts.every((part) => searchText(item).includes(part))) continue;
      list.push(item);
    }
    lists.push(list);
  }
  return merged(lists);
}
