// A list of any length of which only what is in sight is drawn. All rows are of one height.

class List {
  /**
   * `draw(place)` gives the content of a row: nodes, a class, and a label where they do not say it all; `choose(place)` is called when one is chosen.
   * With `whole`, all rows are drawn at once, and the list is as high as they are.
   */
  constructor({ label, rowHeight, height, whole = false, draw, choose = () => {} }) {
    Object.assign(this, { rowHeight, draw, choose, whole });
    this.count = 0;
    this.active = NONE;
    this.drawnRows = new Map();
    this.prefix = `list-${List.made = (List.made ?? 0) + 1}`;
    this.content = element("div", { class: "list-content", role: "presentation" });
    this.node = element(
      "div",
      {
        class: `list${whole ? " whole" : ""}`,
        role: "listbox",
        tabindex: "0",
        "aria-label": label,
        onscroll: onNextFrame(() => this.update()),
        onkeydown: (event) => this.onKey(event),
        onclick: (event) => this.onClick(event),
      },
      this.content,
    );
    if (!whole) {
      this.node.style.height = `${height}px`;
      new ResizeObserver(onNextFrame(() => this.update())).observe(this.node);
    }
  }

  /** Shows `count` other rows, from the first one on. */
  show(count) {
    this.count = count;
    this.active = NONE;
    this.node.removeAttribute("aria-activedescendant");
    this.content.style.height = `${count * this.rowHeight}px`;
    this.node.scrollTop = 0;
    this.redraw();
  }

  /** Draws what is in sight anew. */
  redraw() {
    for (const row of this.drawnRows.values()) row.remove();
    this.drawnRows.clear();
    this.update();
  }

  update() {
    const [first, last] = this.inSight();
    for (const [place, row] of this.drawnRows) {
      if (place < first || place >= last) {
        row.remove();
        this.drawnRows.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      if (!this.drawnRows.has(place)) this.drawRow(place);
    }
  }

  inSight() {
    if (this.whole) return [0, this.count];
    const spare = 8;
    const first = Math.floor(this.node.scrollTop / this.rowHeight) - spare;
    const rows = Math.ceil((this.node.clientHeight || 600) / this.rowHeight) + 2 * spare;
    return [Math.max(0, first), Math.min(this.count, Math.max(0, first) + rows)];
  }

  drawRow(place) {
    const { nodes, kind, label = null } = this.draw(place);
    const row = element("div", {
      id: `${this.prefix}-${place}`,
      class: `list-row ${kind}`,
      role: "option",
      "aria-label": label,
      "aria-selected": String(place === this.active),
      "aria-posinset": place + 1,
      "aria-setsize": this.count,
    }, ...nodes);
    row.style.top = `${place * this.rowHeight}px`;
    row.style.height = `${this.rowHeight}px`;
    this.drawnRows.set(place, row);
    this.content.append(row);
  }

  /** Makes a row the chosen one, and brings it into sight. */
  activate(place) {
    if (place < 0 || place >= this.count) return;
    this.drawnRows.get(this.active)?.setAttribute("aria-selected", "false");
    this.active = place;
    if (!this.whole) {
      const top = place * this.rowHeight;
      const { scrollTop, clientHeight } = this.node;
      if (top < scrollTop) this.node.scrollTop = top;
      else if (top + this.rowHeight > scrollTop + clientHeight) {
        this.node.scrollTop = top + this.rowHeight - clientHeight;
      }
    }
    this.update();
    this.drawnRows.get(place)?.setAttribute("aria-selected", "true");
    this.node.setAttribute("aria-activedescendant", `${this.prefix}-${place}`);
    this.choose(place);
  }

  onClick(event) {
    const row = event.target.closest(".list-row");
    if (row) this.activate(Number(row.id.slice(this.prefix.length + 1)));
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const start = this.active === NONE && steps[event.key] > 0 ? NONE : Math.max(0, this.active);
    this.activate(Math.min(this.count - 1, Math.max(0, start + steps[event.key])));
  }
}
