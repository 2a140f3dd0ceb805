// Pointing at a map or number, and the lines to it from its strongest inputs, as thick as each counts; on the way back
// to it from those that sent most of its gradient.
const POINTED = "Point at a map or a number: lines ";

Object.assign(Pane.prototype, {
  // Pointing at a tile and pressing it.
  listen(cell) {
    const { canvas } = cell;
    const at = (event) => {
      const { layout } = cell, box = boxOf(canvas);
      if (!layout) return -1;
      const column = min(layout.columns - 1, floor((event.clientX - box.left) / layout.step));
      const index = floor((event.clientY - box.top) / layout.step) * layout.columns + column;
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
    const box = boxOf(canvas), origin = boxOf(this.list);
    const { cursor } = this;
    moveTo(cursor, box.left - origin.left + x, box.top - origin.top + y, layout.wide, layout.tall);
    const what = layout.cells ? "number" : "map";
    const words = `${cell.words}, ${what} ${index} of ${this.net.parts[cell.part].shape[0]}${this.back ? ", gradient" : ""}`;
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
        if (next) this.point(next, min(next.layout.count - 1, step > 0 ? 0 : next.layout.columns - 1), true);
      }
    } else if (event.key in moves) {
      const target = index + moves[event.key];
      if (target >= 0 && target < layout.count) this.point(cell, target, true);
    } else return;
    event.preventDefault();
  },

  enter(cell, index) {
    const shape = this.net.parts[cell.part].shape;
    if (cell.layout.cells) {
      const at = this.channelAt(cell, index);
      this.app.go({ part: cell.part, channel: at, place: shape.length === 1 ? [at] : [at, 0, 0] });
    } else this.app.go({ part: cell.part, channel: index });
  },

  async drawEdges(cell, index) {
    const turn = (this.pointing = (this.pointing ?? 0) + 1);
    const { item } = cell.column, { parts } = this.net;
    const { back } = this;
    if (!this.note || this.app.moving || (!back && item.key && item.kind !== "unit")) { this.hideEdges(); return; }
    await new Promise((done) => setTimeout(done, 120));
    const gone = () => turn !== this.pointing || this.app.state.part !== null || back !== this.back;
    if (gone()) return;
    const channel = this.channelAt(cell, index);
    let rows = [];
    try {
      rows = await (await this.ask("edges", { part: cell.part, channel, back, first: item.key ? item.first : cell.part, ...this.common })).json();
    } catch { /* the lines are not worth a sentence */ }
    if (gone() || !cell.layout) return;
    this.hideEdges();
    if (!rows.length) return;
    this.web = draw("svg", { class: "web" }, this.list);
    const own = this.spot(cell.part, channel), top = max(...rows.map(([, , share]) => abs(share)));
    const signed = parts[cell.part].shape.length === 1;
    for (const [owner, from, share] of rows.toReversed()) this.line(...(back ? [own, this.spot(owner, from)] : [this.spot(owner, from), own]), abs(share) / top, signed ? (share < 0 ? "less" : "more") : "plain");
    const kind = (owner) => (owner < 0 ? "picture, channel" : parts[owner].words + (parts[owner].shape.length === 1 ? ", number" : ", map"));
    const names = rows.map(([owner, from, share]) => `${kind(owner)} ${from}: ${share < 0 ? MINUS : ""}${percentText(abs(share))}`);
    reword(this.note, `${back ? "Its gradient comes most from" : "Counts most"}: ${names.join("; ")}`);
    this.app.say(`${this.cursor.title}. ${this.note.textContent}`);
  },

  hideEdges() {
    this.web?.remove();
    this.web = null;
    if (this.note) reword(this.note, POINTED + (this.back ? "lead to where most of its gradient comes from." : "come from what counts most in it."));
  },

  // Where on the columns a part's map or number is drawn: left, top, width, height.
  spot(owner, channel) {
    const cell = owner < 0 ? this.cells[0] : this.cells.find((one) => one.parts?.includes(owner));
    const origin = boxOf(this.list), box = boxOf(cell.canvas);
    const [x, y] = [box.left - origin.left, box.top - origin.top], { layout, row } = cell;
    if (owner < 0 || !layout || (cell.part !== owner && cell.column.item.kind !== "unit")) return [x, y, box.width, box.height];
    const index = layout.cells ? floor(channel / this.perCell(cell)) : channel;
    if (index < layout.count) {
      const [left, top] = place(layout, index);
      return [x + left, y + top, layout.wide, layout.tall];
    }
    const bars = boxOf(cell.barcode);
    return [bars.left - origin.left + ((channel % row.bars) + 0.5) * bars.width / row.bars, bars.top - origin.top, 1, bars.height];
  },

  line([x, y, w, h], [a, b, c, d], share, kind) {
    const beside = x + w <= a;
    const [x1, y1, x2, y2] = beside ? [x + w, y + h / 2, a, b + d / 2] : [x + w / 2, y + h, a + c / 2, b];
    const [bx, by] = beside ? [(x2 - x1) / 2, 0] : [0, (y2 - y1) / 2];
    const path = `M${x1} ${y1}C${x1 + bx} ${y1 + by} ${x2 - bx} ${y2 - by} ${x2} ${y2}`;
    draw("path", { d: path, class: "halo", "stroke-width": 3 + 4 * share }, this.web);
    draw("path", { d: path, class: kind, "stroke-width": 1 + 4 * share }, this.web);
  },

  // The ways round other columns, from the one that gives to the one that takes: a shortcut's arc, its sum at the end.
  // Of a fold that is closed, the way round what is in it.
  waysRound(columns) {
    const { parts } = this.net, found = [];
    const first = ({ item, part }) => item.first ?? part;
    columns.forEach((column, k) => {
      const ways = new Set();
      for (let one = first(column); one <= column.part; one++) {
        for (const source of parts[one].sources) {
          const from = columns.findIndex((other) => first(other) <= source && source <= other.part);
          if (from < k - 1) ways.add(from);
        }
        if (parts[one].sort === "sum" && parts[one].sources.length > 1 && column.item.key) ways.add(k);
      }
      ways.forEach((from) => found.push([from, k]));
    });
    return found;
  },

  drawArcs() {
    this.list?.querySelector(".arcs")?.remove();
    if (!this.ways?.length) return;
    const { wide } = this.app;
    const name = (k) => this.cells[k + 1].words ?? "the picture";
    const words = this.ways.map(([from, k]) => (from === k ? `round what is in ${name(k)}` : `from ${name(from)} to ${name(k)}`));
    const svg = draw("svg", { class: "arcs", role: "img", "aria-label": `Shortcuts: ${words.join("; ")}` }, this.list);
    for (const [from, k] of this.ways) {
      const [a, b] = [from, k].map((at) => {
        const { offsetLeft: x, offsetTop: y, offsetWidth: w, offsetHeight: h } = this.cells[at + 1].section;
        return wide ? [x, y, w] : [y, x, h];
      });
      const line = (p, to, q, open) => {
        const near = q + (wide ? 15 : -1), far = q + (wide ? 3 : -11) + (k - from > 3 ? 0 : 3);
        const at = (along, away) => (wide ? `${along} ${away}` : `${away} ${along}`);
        const begin = open > 0 ? `M${at(p, far)}` : `M${at(p, near)}Q${at(p, far)} ${at(p + 12, far)}`;
        const end = open < 0 ? `L${at(to, far)}` : `L${at(to - 12, far)}Q${at(to, far)} ${at(to, near)}`;
        draw("path", { d: begin + end }, svg);
      };
      const end = b[0] + (from === k ? b[2] - 4 : 12), begin = from === k ? b[0] + 4 : a[0] + a[2] - 10;
      if (!wide || a[1] === b[1]) line(begin, end, b[1]);
      else { // on to a further line of columns
        line(begin, this.list.offsetWidth, a[1], -1);
        line(this.each + BETWEEN, end, b[1], 1);
      }
    }
  },

  perCell(cell) {
    return ceil(this.net.parts[cell.part].shape.reduce((a, b) => a * b, 1) / cell.row.w);
  },

  channelAt(cell, index) {
    return cell.layout.cells ? index * this.perCell(cell) : index;
  },
});

Object.assign(View.prototype, {
  // Under a finger that rests: what lies below it, enlarged above it, and in words. It moves along; a tap opens as ever.
  loupe() {
    const { root } = this, glass = make(".loupe", root), canvas = make("canvas", glass), words = make("small", glass);
    let timer, over;
    const show = (touch) => {
      const { left, top, width } = boxOf(over), { clientX: x, clientY: y } = touch, origin = boxOf(root), part = over.width / width;
      glass.hidden = false;
      over.onpointermove(touch);
      sized(canvas, 132, 132).drawImage(over, (x - left - 22) * part, (y - top - 22) * part, 44 * part, 44 * part, 0, 0, 132, 132);
      glass.style.left = `${max(0, min(this.width - 150, x - origin.left - 75))}px`;
      glass.style.bottom = `${origin.bottom - y + 30}px`;
      reword(words, this.said.textContent);
    };
    const end = (event) => {
      clearTimeout(timer);
      if (!glass.hidden) event.preventDefault(); // so that nothing is opened, scrolled or selected
    };
    glass.hidden = true;
    root.ontouchstart = ({ target, touches: [touch] }) => {
      over = target;
      if (over.matches(".maps, .kernel") && over.onpointermove) timer = setTimeout(show, 300, touch);
    };
    root.ontouchmove = (event) => { end(event); if (!glass.hidden) show(event.touches[0]); };
    root.ontouchend = root.ontouchcancel = (event) => { end(event); glass.hidden = true; };
    root.oncontextmenu = end;
  },
});
