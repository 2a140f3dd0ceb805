// One network on one picture: its columns, and the levels below them. What is chosen is shared between two of them.
class Pane {
  constructor(app, root, second) {
    this.app = app;
    this.second = second;
    this.root = make(".pane", root);
    this.root.hidden = second; // until it is said what stands there
    this.title = make("p.title", this.root);
    this.answer = make(".answer", this.root);
    this.area = make(".area", this.root);
    this.frames = new Map();
    this.cells = [];
    this.sight = new IntersectionObserver((seen) => seen.forEach(({ target, isIntersecting }) => {
      const cell = this.cells.find((one) => one.section === target);
      if (cell) cell.away = !isIntersecting;
    }));
  }

  // --- what the server says ---
  async ask(what, query, fresh = false) {
    const url = new URL(`${this.app.data.base}/api/view/${this.token}/${what}`, location.origin);
    for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") url.searchParams.set(name, value);
    const response = await fetch(url, fresh ? { cache: "no-cache" } : {});
    if (!response.ok) {
      let said = "The server could not be asked. Reload the page.";
      try { said = (await response.json()).error || said; } catch { /* no sentence came */ }
      throw new Error(said);
    }
    return response;
  }

  async json(what, query) {
    return (await this.ask(what, query)).json();
  }

  async bytes(what, query, fresh) {
    return unpack(await (await this.ask(what, query, fresh)).arrayBuffer());
  }

  async open(token, title) {
    this.title.textContent = title || "";
    this.title.hidden = !title;
    if (token === this.token) return;
    this.token = token;
    this.frames.clear();
    const [net, picture] = await Promise.all([this.json("structure", {}), this.ask("picture", {})]);
    const shown = new Uint8Array(await picture.arrayBuffer());
    if (token !== this.token) return; // another one was asked for in the meantime
    this.net = net;
    this.picture = shown;
    this.folds = new Map();
    const walk = (items, above) => items.forEach((item) => {
      if (!item.key) return;
      this.folds.set(item.key, { ...item, above });
      walk(item.inside, item.key);
    });
    walk(this.net.tree, "");
  }

  // In place of what it showed, which is not what is asked for now.
  fail(message) {
    this.clear();
    this.shown = null;
    this.answer.replaceChildren();
    this.app.flow.replaceChildren();
    make("p.trouble", this.area, message).role = "alert";
  }

  // Whether it has such a part, map and number.
  has({ part, channel, place }) {
    const shape = part === null ? [0] : this.net.parts[part]?.shape;
    return shape && !((channel ?? -1) >= shape[0]) && (!place || (place.length === shape.length && place.every((n, k) => n < shape[k])));
  }

  // Whether it has an epoch that can be chosen, in the full colours of the last one; what stands beside it stays at its own.
  get films() {
    return !this.second && this.app.data.epochs.length > 0;
  }

  get common() {
    const { films, app: { state: { mode, epoch }, data: { epochs } } } = this;
    return { mode: this.net.modes && mode === "train" ? mode : "", epoch: films ? epoch : "", hold: films && !this.back && epoch !== "live" ? epochs.at(-1) : "" };
  }

  // What its walk back is from: what is chosen, by the name of the class; of its own where it has no such class or number.
  get back() {
    const { state, panes } = this.app, { labels, label, scores } = this.net;
    if (!state.back) return "";
    const [kind, of, at] = (state.target ?? "").split(":"), name = panes[0].net.labels[of];
    if (at && this.has({ part: of, place: at.split(".") })) return state.target;
    const own = labels[of] === name ? of : labels.indexOf(name);
    return !at && own >= 0 && own < max(2, scores) ? `${kind}:${own}` : `loss:${label}`;
  }

  // The columns that stand: the tree cut where folds are open.
  columns() {
    const found = [];
    const walk = (items, depth) => items.forEach((item) => {
      if (item.key && this.app.state.open.has(item.key)) walk(item.inside, depth + 1);
      else found.push({ item, part: item.last ?? item, depth });
    });
    walk(this.net.tree, 0);
    return found;
  }

  async frame(parts, more = {}) {
    const query = { parts: parts.join("."), back: this.back, scale: this.app.state.scale, side: 32, most: 16, ...this.common, ...more };
    const key = JSON.stringify(query);
    const live = query.epoch === "live";
    if (!live && this.frames.has(key)) return this.frames.get(key);
    const frame = await this.bytes("frame", query, live);
    if (!live) {
      this.frames.set(key, frame);
      if (this.frames.size > 240) this.frames.delete(this.frames.keys().next().value);
    }
    return frame;
  }

  // The largest of what is known of parts, for every column.
  inFolds(columns, known) {
    return columns.map(({ item, part }) => {
      const [first, last] = item.key ? [item.first, item.last] : [part, part];
      const values = Object.entries(known ?? {}).filter(([k]) => first <= k && k <= last).map(([, v]) => v);
      return values.length ? max(...values) : undefined;
    });
  }

  // --- the network level ---
  async drawNetwork() {
    const columns = this.columns();
    const parts = columns.map((one) => one.part);
    const frame = await this.frame(parts);
    const ofPicture = this.back ? await this.bytes("picture", { back: this.back, ...this.common }) : null;
    if (this.app.state.part !== null) return null; // a level below was opened in the meantime
    this.shown = { columns, frame };
    this.ofPicture = ofPicture;
    const wide = this.app.wide;
    const key = `${columns.map((one) => one.part + (one.item.key || "")).join()}|${wide}|${this.token}|${this.app.width}`;
    if (this.laidOut !== key) this.layOut(columns, wide);
    this.laidOut = key;
    this.paint(frame, ofPicture);
    this.drawAnswer(frame);
    return frame;
  }

  layOut(columns, wide) {
    this.area.replaceChildren();
    this.area.className = `area ${wide ? "wide" : "narrow"}`;
    const list = make(".columns", this.area);
    const room = this.app.width - 2;
    const most = max(1, floor((room + BETWEEN) / (LEAST_COLUMN + BETWEEN)) - 1); // beside the picture, or what is below it
    this.lines = wide ? ceil(columns.length / most) : 1;
    this.inLine = ceil(columns.length / this.lines);
    this.ways = this.waysRound(columns);
    const arced = this.ways.length > 0;
    list.classList.toggle("arced", arced);
    const each = wide ? floor((room + BETWEEN) / (this.inLine + 1)) - BETWEEN : room - BETWEEN - 14 * arced;
    list.style.gridTemplateColumns = wide ? `repeat(${this.inLine + 1}, ${each}px)` : "";
    this.each = each;
    this.list = list;
    this.cells = [this.pictureCell(list, each, wide), ...columns.map((one) => this.cell(list, one, wide))];
    if (wide) {
      this.put(this.cells[0].section, 0, 1);
      columns.forEach((_, k) => this.put(this.cells[k + 1].section, floor(k / this.inLine), 2 + (k % this.inLine)));
      for (let line = 1; line < this.lines; line++) {
        const before = make("p.before", list, "↳ ");
        make("small", before, shapeText(this.net.parts[columns[line * this.inLine - 1].part].shape));
        this.put(before, line, 1);
      }
    }
    this.note = wide ? make("p.note", this.area) : null;
    list.onpointerleave = () => { this.pointing += 1; this.hideEdges(); };
    this.sight.disconnect();
    this.cells.forEach((cell) => this.sight.observe(cell.section));
    this.cursor = cursorOn(list);
  }

  // Into a line of columns: five rows each, and the strip of sizes as the sixth.
  put(element, line, column) {
    Object.assign(element.style, { gridColumn: column, gridRow: `${6 * line + 1} / span 5` });
  }

  pictureCell(list, each, wide) {
    const section = make("section.column.picture", list);
    const head = make(".head", section);
    make("b", head, "picture");
    make("small", head, shapeText(this.net.takes));
    const canvas = make("canvas.maps", section);
    return { section, canvas, side: min(each, wide ? 160 : 120) };
  }

  cell(list, column, wide) {
    const { item, part } = column;
    const about = this.net.parts[part];
    const fold = item.key ? item : null;
    const section = make(column.depth ? "section.column.inside" : "section.column", list);
    const head = make("button.head", section);
    const words = fold ? fold.title : this.partWords(part);
    make("b", head, words);
    make("small", head, shapeText(about.shape));
    const inside = fold ? this.net.parts.slice(fold.first, fold.last + 1) : [about];
    const count = inside.reduce((sum, one) => sum + one.parameters, 0);
    make("small", head, count ? counted(count, "weight") : "no weights");
    head.onclick = () => this.app.go({ part });
    const tools = make(".tools", section);
    if (fold) {
      const open = make("button.open", tools, "+ open");
      const names = inside.map((one) => one.words);
      open.title = `${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`;
      open.ariaLabel = `Open ${words}: ${open.title}`;
      open.onclick = () => this.app.toggle(item.key);
    } else if (column.depth) {
      const above = [...this.folds.values()].find((one) => one.inside.includes(part));
      const close = make("button.open", tools, "− close");
      close.ariaLabel = `Close ${above?.title}`;
      close.onclick = () => this.app.toggle(above.key);
    }
    const holder = make(".holder", section);
    const canvas = make("canvas.maps", holder);
    const barcode = make("canvas.barcode", section);
    barcode.ariaLabel = `One line a channel: the mean of each of ${about.shape[0]}`;
    const pill = make("span.pill", section);
    const parts = fold ? Array.from({ length: fold.last - fold.first + 1 }, (_, k) => fold.first + k) : [part];
    const cell = { section, head, canvas, barcode, pill, part, parts, column, words, wide };
    this.listen(cell);
    return cell;
  }

  // Only what has changed; while a film or a walk is scrubbed the maps alone, and none that is out of sight.
  paint(frame, ofPicture) {
    const { moving, table } = this.app;
    const [first, ...rest] = this.cells;
    const { h, w } = this.net.picture;
    const scale = first.side / max(h, w);
    const reached = this.app.reached();
    const shown = !ofPicture ? this.picture : reached && !reached.has(-1) ? "waits" : ofPicture;
    if (first.drawn !== shown || first.table !== table) {
      if (shown === "waits") sized(first.canvas, round(w * scale), round(h * scale));
      else if (ofPicture) drawBytes(first.canvas, shown.body, shown.w, shown.h, table, round(w * scale), round(h * scale));
      else this.drawPicture(first.canvas, w * scale, h * scale);
      Object.assign(first, { drawn: shown, table });
      first.canvas.ariaLabel = ofPicture ? "The gradient at every pixel" : "The picture as the network sees it";
    }
    if (this.web) this.drawEdges(this.pointed.cell, this.pointed.index);
    else this.hideEdges();
    rest.forEach((cell, k) => {
      const row = frame.parts[k];
      cell.row = row;
      const { parts } = cell;
      const waits = reached && !parts.some((part) => reached.has(part));
      cell.section.classList.toggle("waits", Boolean(waits));
      cell.section.classList.toggle("now", Boolean(reached && parts.includes(reached.now)));
      const state = waits ? "waits" : row;
      if (cell.drawn === state && cell.table === table && (moving || !cell.bare)) return;
      if (moving && cell.away) return;
      Object.assign(cell, { drawn: state, table, bare: moving });
      if (row.none || waits) {
        cell.layout = null;
        sized(cell.canvas, 40, 40);
        sized(cell.barcode, 40, 6);
        cell.canvas.ariaLabel = row.none ? "No gradient comes by here" : "No gradient has come here yet";
        cell.pill.textContent = row.none ? "no gradient" : "";
        cell.pill.className = "pill";
        return;
      }
      cell.layout = lay(row, this.each, !cell.wide ? 90 : this.lines > 1 ? LINE_HEIGHT : MAPS_HEIGHT);
      drawTiles(cell.canvas, frame, row, cell.layout, table);
      if (moving) return;
      if (cell.part === this.net.parts.length - 1) this.nameClasses(cell, frame, row);
      drawBarcode(cell.barcode, frame, row, this.each, table);
      const maps = row.c > row.n && row.h > 1 ? `the first ${row.n} of ${row.c} maps` : row.h > 1 ? counted(row.n, "map") : counted(row.c, "number");
      cell.canvas.ariaLabel = `${this.back ? "Gradients of " : ""}${cell.words}: ${maps}`;
      const said = [];
      if (row.zeros >= 0.005) said.push(`${percentText(row.zeros)} zero`);
      if (row.bad) said.push(`${percentText(row.bad)} NaN or ∞`);
      cell.pill.textContent = said.join(", ");
      cell.pill.className = `pill${row.bad ? " bad" : ""}`;
    });
  }

  // Over the cells of the scores the classes' names, where they have room.
  nameClasses(cell, frame, row) {
    const { layout, canvas } = cell, { labels } = this.net;
    if (!layout.cells || layout.side < 18 || row.w > labels.length) return;
    const context = canvas.getContext("2d");
    [context.textAlign, context.textBaseline, context.font] = ["center", "middle", "11px sans-serif"];
    for (let k = 0; k < row.w; k++) {
      if (labels[k].length > 3) continue;
      const [x, y] = place(layout, k);
      context.fillStyle = inkOn(colourAt(this.app.data.scale, (frame.body[row.at + k] - 1) / 254));
      context.fillText(labels[k], x + layout.side / 2, y + layout.side / 2 + 1);
    }
  }

  drawPicture(canvas, wide, tall) {
    const { h, w } = this.net.picture;
    const image = new ImageData(w, h);
    for (let k = 0, j = 0; k < w * h; k++) {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = this.picture[j++];
      image.data[4 * k + 3] = 255;
    }
    tooMuch.width = w;
    tooMuch.height = h;
    tooMuch.getContext("2d").putImageData(image, 0, 0);
    const context = sized(canvas, round(wide), round(tall));
    context.drawImage(tooMuch, 0, 0, w, h, 0, 0, round(wide), round(tall));
    return context;
  }

  // Which classes, with scores; on the way back the gradient at each, where the loss is what is walked from.
  drawAnswer(frame) {
    const { labels } = this.net;
    const [kind, of] = this.back.split(":");
    const logits = frame.logits.length === 1 ? [0, frame.logits[0]] : frame.logits;
    const top = max(...logits.map((v) => v ?? -Infinity));
    const powers = logits.map((v) => exp((v ?? -Infinity) - top));
    const total = powers.reduce((a, b) => a + b, 0);
    const order = powers.map((_, k) => k).sort((a, b) => powers[b] - powers[a]);
    const list = order.slice(0, this.app.wide ? 5 : 3);
    if (frame.slopes && !list.includes(+of)) list.push(+of);
    if (!this.answer.firstChild) {
      make("span.says", this.answer, "It says");
      this.says = [];
      this.gradients = make("span.number", this.answer);
    }
    while (this.says.length < list.length) {
      const one = make("span.class");
      this.gradients.before(one);
      this.says.push({ one, name: make("span.name", one), bar: make("i", make("span.bar", one)), share: make("span.number.share", one), error: make("span.number", one) });
    }
    this.says.splice(list.length).forEach(({ one }) => one.remove());
    list.forEach((k, at) => {
      const p = powers[k] / total, { one, name, bar, share, error } = this.says[at];
      reword(name, labels[k] ?? `class ${k}`);
      bar.style.width = `${100 * p}%`;
      reword(share, percentText(p));
      reword(error, frame.slopes ? `${frame.slope} = ${numberText(frame.slopes[k] ?? NaN, 3)}` : "");
      one.title = `score ${exact(frame.logits.length === 1 ? frame.logits[0] : logits[k])}, exp of it over the sum of all: ${numberText(p, 4)}`;
    });
    const words = { loss: `${frame.of} for “${labels[of] ?? of}”`, score: `the score of “${labels[of] ?? of}”`, number: "the chosen number" }[kind];
    reword(this.gradients, frame.backward ? `Gradients of ${words}, ${exact(frame.value)}` : "");
  }
}
