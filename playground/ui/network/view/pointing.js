// Pointing at a map or number, and the lines to it from its strongest inputs, as thick as each counts.
const POINTED = "Point at a map or a number: lines come from what counts most in it.";

Object.assign(Pane.prototype, {
  // Pointing at a tile and pressing it.
  listen(cell) {
    const { canvas } = cell;
    const at = (event) => {
      const { layout } = cell, box = canvas.getBoundingClientRect();
      if (!layout) return -1;
      const column = Math.min(layout.columns - 1, Math.floor((event.clientX - box.left) / layout.step));
      const index = Math.floor((event.clientY - box.top) / layout.step) * layout.columns + column;
      return index >= 0 && index < layout.count ? index : -1;
    };
    canvas.onpointermove = (event) => { const index = at(event); if (index >= 0) this.point(cell, index); };
    canvas.onclick = (event) => { const index = at(event); if (index >= 0) this.enter(cell, index); };
  },

  // Move the one button over a tile and say what is there.
  point(cell, index, focus = false) {
    const { layout, canvas } = cell;
    if (!layout) return;
    const [x, y] = place(layout, index);
    const box = canvas.getBoundingClientRect(), origin = this.list.getBoundingClientRect();
    const { cursor } = this;
    cursor.hidden = false;
    cursor.style.left = `${box.left - origin.left + x - 2}px`;
    cursor.style.top = `${box.top - origin.top + y - 2}px`;
    cursor.style.width = `${layout.wide + 4}px`;
    cursor.style.height = `${layout.tall + 4}px`;
    const what = layout.cells ? "number" : "map";
    const words = `${cell.words}, ${what} ${index} of ${this.structure.parts[cell.part].shape[0]}${this.back ? ", gradient" : ""}`;
    cursor.ariaLabel = `${words}. Enter opens it.`;
    cursor.title = words;
    cursor.onclick = () => this.enter(cell, index);
    this.pointed = { cell, index };
    cursor.onkeydown = (event) => this.key(event);
    if (focus) cursor.focus();
    this.app.say(words);
    this.drawEdges(cell, index);
  },

  key(event) {
    const { cell, index } = this.pointed;
    const { layout } = cell;
    const cells = this.cells.filter((one) => one.layout);
    const where = cells.indexOf(cell);
    const moves = { ArrowUp: -layout.columns, ArrowDown: layout.columns, Home: -index, End: layout.count - 1 - index };
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const step = event.key === "ArrowLeft" ? -1 : 1;
      const column = (index % layout.columns) + step;
      if (column >= 0 && column < layout.columns && index + step < layout.count) this.point(cell, index + step, true);
      else {
        const next = cells[where + step];
        if (next) this.point(next, Math.min(next.layout.count - 1, step > 0 ? 0 : next.layout.columns - 1), true);
      }
    } else if (event.key in moves) {
      const target = index + moves[event.key];
      if (target >= 0 && target < layout.count) this.point(cell, target, true);
    } else return;
    event.preventDefault();
  },

  enter(cell, index) {
    const shape = this.structure.parts[cell.part].shape;
    if (cell.layout.cells) {
      const at = this.channelAt(cell, index);
      this.app.go({ part: cell.part, channel: at, place: shape.length === 1 ? [at] : [at, 0, 0] });
    } else this.app.go({ part: cell.part, channel: index, place: null });
  },

  async drawEdges(cell, index) {
    const turn = (this.pointing = (this.pointing ?? 0) + 1);
    const { item } = cell.column, { parts } = this.structure;
    if (!this.note || this.back || this.app.moving || (item.key && item.kind !== "unit")) { this.hideEdges(); return; }
    await new Promise((done) => setTimeout(done, 120));
    if (turn !== this.pointing || this.app.state.part !== null) return;
    const channel = this.channelAt(cell, index);
    let rows = [];
    try {
      rows = await (await this.ask("edges", { part: cell.part, channel, first: item.key ? item.first : cell.part, ...this.common })).json();
    } catch { /* the lines are not worth a sentence */ }
    if (turn !== this.pointing || this.app.state.part !== null || !cell.layout) return;
    this.hideEdges();
    if (!rows.length) return;
    this.web = draw("svg", { class: "web" }, this.list);
    const to = this.spot(cell.part, channel), top = Math.max(...rows.map(([, , share]) => Math.abs(share)));
    const signed = parts[cell.part].shape.length === 1;
    for (const [owner, from, share] of [...rows].reverse()) this.line(this.spot(owner, from), to, Math.abs(share) / top, signed ? (share < 0 ? "less" : "more") : "plain");
    const kind = (owner) => (owner < 0 ? "picture, channel" : parts[owner].words + (parts[owner].shape.length === 1 ? ", number" : ", map"));
    const names = rows.map(([owner, from, share]) => `${kind(owner)} ${from}: ${share < 0 ? MINUS : ""}${percentText(Math.abs(share))}`);
    reword(this.note, `Counts most: ${names.join("; ")}`);
    this.app.say(`${this.cursor.title}. ${this.note.textContent}`);
  },

  hideEdges() {
    this.web?.remove();
    this.web = null;
    if (this.note) reword(this.note, POINTED);
  },

  // Where on the columns a part's map or number is drawn: left, top, width, height.
  spot(owner, channel) {
    const cell = owner < 0 ? this.cells[0] : this.cells.find((one) => one.parts?.includes(owner));
    const origin = this.list.getBoundingClientRect(), box = cell.canvas.getBoundingClientRect();
    const [x, y] = [box.left - origin.left, box.top - origin.top], { layout, row } = cell;
    if (owner < 0 || !layout || cell.part !== owner) return [x, y, box.width, box.height];
    const index = layout.cells ? Math.floor(channel / this.perCell(cell)) : channel;
    if (index < layout.count) {
      const [left, top] = place(layout, index);
      return [x + left, y + top, layout.wide, layout.tall];
    }
    const bars = cell.barcode.getBoundingClientRect();
    return [bars.left - origin.left + ((channel % row.bars) + 0.5) * bars.width / row.bars, bars.top - origin.top, 1, bars.height];
  },

  line([x, y, w, h], [a, b, c, d], share, kind) {
    const beside = x + w <= a;
    const [x1, y1, x2, y2] = beside ? [x + w, y + h / 2, a, b + d / 2] : [x + w / 2, y + h, a + c / 2, b];
    const bend = beside ? (x2 - x1) / 2 : (y2 - y1) / 2;
    const path = beside ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` : `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    draw("path", { d: path, class: "halo", "stroke-width": 3 + 4 * share }, this.web);
    draw("path", { d: path, class: kind, "stroke-width": 1 + 4 * share }, this.web);
  },

  perCell(cell) {
    return Math.ceil(this.structure.parts[cell.part].shape.reduce((a, b) => a * b, 1) / cell.row.w);
  },

  channelAt(cell, index) {
    return cell.layout.cells ? index * this.perCell(cell) : index;
  },
});
