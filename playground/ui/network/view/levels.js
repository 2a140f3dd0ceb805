// Below the network: all maps of a part, one map as a sum, one number as products.
const OPS = {
  conv2d: "sum of products", linear: "sum of products", matmul: "sum of products", conv_transpose2d: "sum of products", batch_norm_inference: "batch norm",
  batch_norm_training: "batch norm, by the batch's statistics", max_pool2d: "largest of the window", avg_pool2d: "mean of the window", adaptive_avg_pool2d: "mean of the map",
  mean: "mean", add: "sum", relu: "max(x, 0)", concat: "side by side", flatten: "in one row", reshape: "in one row", "softmax and loss": "p − y", "sigmoid and loss": "p − y", itself: "where the walk begins",
};
const NOTHING = "What the gradients are of does not depend on this part.";
const opWords = (op) => OPS[op] ?? op.replaceAll("_", " ");

Object.assign(Pane.prototype, {
  clear() {
    this.area.replaceChildren();
    this.area.className = "area level";
    this.note = this.web = null;
    this.laidOut = null;
    this.cells = [];
  },

  partWords(index) {
    if (index === -1) return "picture";
    if (index === -2) return "the loss";
    if (typeof index === "string") return index;
    const about = this.structure.parts[index];
    return about.more ? `${about.words}, ${about.more}` : about.words;
  },

  placeWords(place) {
    return place.length === 3 ? `map ${place[0]}, row ${place[1]}, column ${place[2]}` : place.length ? `number ${place.join(", ")}` : "";
  },

  async drawLayer(part) {
    const query = { part, back: this.back, scale: this.app.state.scale, ...this.common };
    const [frame, words] = await Promise.all([this.bytes("layer", query), this.about(part)]);
    if (this.app.state.part !== part || this.app.state.channel !== null) return;
    const row = frame.parts[0];
    this.clear();
    const list = make("div.columns.alone", this.area);
    this.list = list;
    const section = make("section.column", list);
    const canvas = make("canvas.maps", section);
    const width = Math.max(120, this.app.width - (this.app.wide ? 420 : 20));
    const cell = { section, canvas, part, words: this.partWords(part), row, column: { item: part } };
    this.cells = [cell];
    if (row.none) make("p", section, NOTHING);
    else {
      cell.layout = lay(row, width, 520, true);
      drawTiles(canvas, frame, row, cell.layout, this.app.table);
      canvas.ariaLabel = `${this.back ? "Gradients of all" : "All"} ${row.c} of ${cell.words}`;
      this.legend(section, frame.backward ? { log: true, top: frame.top, decades: frame.decades } : { limit: row.limit });
    }
    this.cursor = cursorOn(list);
    this.listen(cell);
    if (cell.layout && !this.app.still) this.point(cell, 0, this.app.focusNext && !this.second);
    this.words(list, part, words, row);
  },

  async about(part) {
    this.abouts ??= new Map();
    const key = `${this.token} ${part}`;
    if (!this.abouts.has(key)) this.abouts.set(key, await this.json("about", { part }));
    return this.abouts.get(key);
  },

  // What a part is, its formula, its sizes, its code.
  words(parent, part, words, row) {
    const about = this.structure.parts[part];
    const side = make("div.words", parent);
    make("p", side, words.what);
    if (words.formula) make("p.formula", side, words.formula);
    const rows = [["gives", shapeText(about.shape)], ["takes from", about.sources.map((one) => this.partWords(one)).join("; ")]];
    if (about.parameters) rows.push(["weights", about.weights.map(([name, shape]) => `${name} (${shapeText(shape)})`).join(", ")]);
    if (words.multiply_adds) rows.push(["multiply-adds", numberText(words.multiply_adds, 12)]);
    if (row && !row.none) {
      rows.push([this.back ? "gradients" : "numbers", `from ${exact(row.min)} to ${exact(row.max)}, root mean square ${exact(row.rms)}`]);
      if (row.zeros) rows.push(["zeros", percentText(row.zeros)]);
      if (row.bad) rows.push(["NaN or ∞", percentText(row.bad)]);
    }
    const table = make("dl", side);
    for (const [name, value] of rows) {
      make("dt", table, name);
      make("dd", table, value);
    }
    const libraries = Object.keys(words.code);
    if (libraries.length) {
      const tabs = make("div.tabs", side);
      tabs.role = "group";
      tabs.ariaLabel = "Library";
      const code = make("code", side);
      const show = (name) => {
        code.textContent = words.code[name];
        [...tabs.children].forEach((tab) => tab.ariaPressed = tab.textContent === name);
        this.app.library = name;
      };
      libraries.forEach((name) => { const tab = make("button", tabs, name); tab.onclick = () => show(name); });
      show(libraries.includes(this.app.library) ? this.app.library : libraries[0]);
    }
    return side;
  },

  legend(parent, { limit, log, top, decades }) {
    const line = make("div.legend", parent);
    const end = log ? top : limit;
    make("span", line, `${MINUS}${exact(end)}`);
    const ramp = make("span.ramp", line);
    const stops = this.app.data.scale.map(([at, colour]) => `${colour} ${at * 100}%`);
    ramp.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    make("span", line, `+${exact(end)}`);
    if (log) make("span", line, `logarithmic: ${decades} powers of ten to each side, 0 in the middle`);
  },

  async drawMap(part, channel) {
    const query = { part, channel, back: this.back, ...this.common };
    const [frame, words] = await Promise.all([this.bytes("map", query), this.about(part)]);
    if (this.app.state.part !== part || this.app.state.channel !== channel || this.app.state.place !== null) return;
    this.clear();
    const box = make("div.map", this.area);
    const left = make("div.whole", box);
    make("h4", left, `${this.back ? "Gradient of map" : "Map"} ${channel} of ${this.partWords(part)}`);
    if (frame.none) {
      make("p", left, NOTHING);
      return;
    }
    const table = this.app.table;
    const side = Math.min(this.app.wide ? 360 : this.app.width - 24, Math.max(frame.h, frame.w) * 40);
    const unit = side / Math.max(frame.h, frame.w);
    const [wide, tall] = [Math.max(1, frame.w * unit), Math.max(1, frame.h * unit)];
    const holder = make("div.holder", left);
    const canvas = make("canvas.maps", holder);
    canvas.ariaLabel = `${frame.h} rows, ${frame.w} columns, from ${exact(frame.min)} to ${exact(frame.max)}`;
    const values = frame.values ? floats(frame, frame.values) : null;
    const bytes = values ? bytesOf(values, frame.limit) : frame.body.subarray(frame.bytes, frame.bytes + frame.h * frame.w);
    drawBytes(canvas, bytes, frame.w, frame.h, table, wide, tall);
    const power = values && unit >= 26 ? this.printNumbers(canvas.getContext("2d"), values, frame, unit) : 0;
    this.legend(left, { limit: frame.limit });
    if (power) make("small", left, `The numbers in it are to be multiplied by 10${raised(power)}.`);
    const cursor = cursorOn(holder);
    this.list = holder;
    const note = make("p.note", left, "Point at a number; press to see what it is made of.");
    const point = (row, column, focus) => {
      cursor.hidden = false;
      Object.assign(cursor.style, { left: `${column * unit - 1}px`, top: `${row * unit - 1}px`, width: `${unit + 2}px`, height: `${unit + 2}px` });
      const value = values ? `: ${numberText(values[row * frame.w + column], 5)}` : "";
      note.textContent = `Row ${row}, column ${column}${value}`;
      cursor.ariaLabel = `${note.textContent}. Enter takes it apart.`;
      cursor.onclick = () => this.app.go({ part, channel, place: this.placeOf(part, channel, row, column) });
      cursor.onkeydown = (event) => {
        const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        if (!(event.key in moves)) return;
        event.preventDefault();
        const [r, c] = [row + moves[event.key][0], column + moves[event.key][1]];
        if (r >= 0 && c >= 0 && r < frame.h && c < frame.w) point(r, c, true);
      };
      if (focus) cursor.focus();
    };
    const where = (event) => {
      const area = canvas.getBoundingClientRect();
      return [Math.min(frame.h - 1, Math.max(0, Math.floor((event.clientY - area.top) / unit))), Math.min(frame.w - 1, Math.max(0, Math.floor((event.clientX - area.left) / unit)))];
    };
    canvas.onpointermove = (event) => point(...where(event));
    canvas.onclick = (event) => { const [r, c] = where(event); this.app.go({ part, channel, place: this.placeOf(part, channel, r, c) }); };
    point(Math.floor(frame.h / 2), Math.floor(frame.w / 2), this.app.focusNext && !this.second);
    if (frame.sum) this.drawSum(box, frame, channel);
    if (frame.kernel && !frame.sum) this.drawKernel(box, frame, channel);
    else if (frame.kernel?.gradient) this.drawKernel(box, frame, channel);
    if (frame.sources?.length) this.drawSources(box, frame);
    if (!frame.sum) this.words(box, part, words, { ...frame });
  },

  placeOf(part, channel, row, column) {
    const { shape } = this.structure.parts[part];
    return shape.length === 1 ? [channel] : [channel, row, column];
  },

  printNumbers(context, values, frame, unit) {
    const power = frame.limit >= 0.1 && frame.limit < 1e4 ? 0 : Math.floor(Math.log10(frame.limit));
    const [unitOf, top] = [10 ** power, frame.limit / 10 ** power];
    const digits = top >= 100 ? 0 : top >= 10 ? 1 : 2;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let k = 0; k < values.length; k++) {
      const words = Number.isFinite(values[k]) ? written(values[k] / unitOf, digits) : "NaN";
      context.font = `${Math.max(11, Math.min(13, (unit * 1.7) / words.length))}px sans-serif`;
      if (unit * 1.8 < words.length * 6.2) continue;
      const at = Math.max(-1, Math.min(1, values[k] / frame.limit));
      context.fillStyle = inkOn(colourAt(this.app.data.scale, at / 2 + 0.5));
      context.fillText(words, (k % frame.w + 0.5) * unit, (Math.floor(k / frame.w) + 0.5) * unit);
    }
    return power;
  },

  thumb(parent, frame, { at, h, w }, words, most = 56) {
    const canvas = make("canvas", parent);
    canvas.ariaLabel = words;
    const scale = Math.min(most / Math.max(h, w), 20);
    drawBytes(canvas, frame.body.subarray(at, at + h * w), w, h, this.app.table, w * scale, h * scale);
    return [canvas.getContext("2d"), scale];
  },

  // The map as a sum of input maps times kernels.
  drawSum(parent, frame, channel) {
    const { sum } = frame;
    const box = make("div.sum", parent);
    make("h4", box, sum.turned ? `is a sum: the gradient of each map behind it, correlated in full with the turned kernel` : `is a sum: input maps times kernels${sum.bias ? ", and a bias" : ""}`);
    const list = make("ol", box);
    for (const one of sum.of) {
      const item = make("li", list);
      const owner = one.owner < 0 ? "picture, channel" : "map";
      const source = make("button.plain", item);
      source.title = `${this.partWords(one.owner)}, ${owner} ${one.channel}`;
      this.thumb(source, frame, one.source, source.title);
      make("small", source, `${owner} ${one.channel}`);
      if (one.owner >= 0) source.onclick = () => this.app.go({ part: one.owner, channel: one.channel, place: null });
      else source.disabled = true;
      make("span.sign", item, "⊛");
      const kernel = floats(frame, one.kernel);
      const [rows, columns] = one.kernel.shape;
      const limit = largest(kernel);
      const drawn = make("canvas.kernel", item);
      drawn.ariaLabel = `kernel ${[...kernel].map((v) => numberText(v, 3)).join(", ")}`;
      drawn.title = [...Array(rows).keys()].map((r) => [...kernel.slice(r * columns, (r + 1) * columns)].map((v) => numberText(v, 3)).join("  ")).join("\n");
      const unit = Math.min(14, 56 / Math.max(rows, columns));
      drawBytes(drawn, bytesOf(kernel, limit), columns, rows, this.app.table, columns * unit, rows * unit);
      make("span.sign", item, "=");
      this.thumb(item, frame, one.values, `their product, root mean square ${exact(one.weight)}`);
      make("small", item, `size ${numberText(one.weight, 3)}`);
    }
    if (sum.left) {
      const item = make("li", list);
      make("span.rest", item, `and ${counted(sum.left, "other")}, together`);
      this.thumb(item, frame, sum.others, "the sum of the others");
    }
    if (!sum.turned) make("p", box, sum.bias ? `and the bias b[${channel}] = ${exact(sum.bias)}.` : "No bias is added.");
  },

  // What a part without kernels made the map of.
  drawSources(parent, frame) {
    const box = make("div.sum", parent);
    make("h4", box, this.back ? "is made of what comes back from" : "is made of");
    for (const one of frame.sources) {
      const button = make("button.plain", box);
      const words = `map ${one.channel} of ${this.partWords(one.owner)}`;
      const [context, scale] = this.thumb(button, frame, one, words, 120);
      for (const [row, column] of frame.winners ?? []) context.strokeRect(column * scale + 0.5, row * scale + 0.5, scale - 1, scale - 1);
      make("small", button, words);
      button.onclick = () => this.app.go({ part: one.owner, channel: one.channel, place: null });
    }
    if (frame.winners?.length) make("small", box, "Framed: the largest of each window, which goes on.");
  },

  drawKernel(parent, frame, channel) {
    const { kernel } = frame;
    const box = make("div.kernels", parent);
    const show = (values, words) => {
      make("h4", box, words);
      const [count, rows, columns] = kernel.of;
      const shown = Math.min(count, Math.floor(values.length / (rows * columns)));
      if (!shown) return;
      const limit = largest(values);
      const line = make("div.line", box);
      for (let c = 0; c < Math.min(shown, 64); c++) {
        const canvas = make("canvas.kernel", line);
        canvas.title = `channel ${c}`;
        const own = values.subarray(c * rows * columns, (c + 1) * rows * columns);
        canvas.ariaLabel = `channel ${c}, largest ${numberText(largest(own), 3)}`;
        const unit = rows * columns > 1 ? Math.max(1, Math.min(10, 40 / Math.max(rows, columns))) : 10;
        drawBytes(canvas, bytesOf(own, limit), columns, rows, this.app.table, Math.min(columns * unit, this.app.width - 40), rows * unit);
      }
      const some = shown < count ? `, the first ${shown} of ${count} channels` : "";
      make("small", box, `full colour at ±${numberText(limit, 3)}${some}`);
    };
    show(floats(frame, kernel), `The weights of ${channel}`);
    if (kernel.gradient) show(floats(frame, kernel.gradient), "Their gradients: summed over all places where each was used");
  },

  async drawNumber(part, place) {
    const query = { part, place: place.join("."), back: this.back, ...this.common };
    const said = await this.json("number", query);
    if (String(this.app.state.place) !== String(place) || this.app.state.part !== part) return;
    this.clear();
    const box = make("div.number", this.area);
    make("h4", box, `${this.partWords(part)}, ${this.placeWords(place)}`);
    const gradient = this.back ? `, gradient ${exact(said.gradient)}` : "";
    make("p.value", box, `value ${exact(said.value)}${gradient}`);
    if (said.field && !this.back) this.drawField(box, said.field);
    const accounts = this.back ? said.shares ?? [] : said.made;
    if (this.back && said.gradient === null) make("p", box, "What the gradients are of does not depend on this number.");
    else if (this.back && accounts.length > 1) make("p", box, `Its gradient is the sum of what ${accounts.length} ops that take it send back: ${accounts.map((one) => exact(one.value)).join(" + ")}.`);
    else if (!accounts.length) make("p", box, this.back ? "Nothing behind it takes this number." : "It is passed on as it came.");
    accounts.forEach((account) => this.drawAccount(box, account, said));
    const tools = make("div.tools", box);
    const from = make("button", tools, "Walk back from this number");
    from.onclick = () => this.app.walkFrom(`number:${part}:${place.join(".")}`);
    if (this.app.focusNext && !this.second) from.focus();
  },

  // The picture with the pixels that can reach the number.
  drawField(parent, [top, bottom, left, right]) {
    const { h, w } = this.structure.picture;
    const scale = 120 / Math.max(h, w);
    const [tall, wide] = [bottom - top + 1, right - left + 1];
    const words = `It can see rows ${top} to ${bottom} and columns ${left} to ${right} of the picture: ${tall} × ${wide} of ${h} × ${w} pixels.`;
    const line = make("div.line", parent);
    const canvas = make("canvas", line);
    canvas.ariaLabel = words;
    const context = this.drawPicture(canvas, w * scale, h * scale);
    for (const [colour, width] of [["#000000", 4], ["#ffffff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(left * scale + 2, top * scale + 2, wide * scale - 4, tall * scale - 4);
    }
    make("small", line, words);
  },

  drawAccount(parent, account) {
    const box = make("section.account", parent);
    const back = Boolean(this.back);
    const { terms, others, rest, count, value, kind } = account;
    make("h5", box, opWords(account.op));
    if (kind === "coupled") {
      make("p", box, back ? `${exact(value)}: it depends on all numbers the op took, through their mean and variance or sum.` : `${exact(value)}: depends on ${counted(count, "number")} at once.`);
      return;
    }
    const products = terms.map(([, , x, factor]) => x * factor);
    if (kind === "pointwise" && !back && account.op !== "itself") {
      const [owner, place, x, factor] = terms[0] ?? [];
      make("p.formula", box, terms.length ? `${opWords(account.op)} of ${exact(x)} = ${exact(value)}, slope there ${exact(factor)}` : `${exact(value)}: the slope is 0 here, so nothing goes back through it`);
      if (terms.length) this.link(box, owner, place);
      return;
    }
    const sum = [...products, others].reduce((a, b) => a + b, 0) + (rest ?? 0);
    const signs = [`${exact(products.reduce((a, b) => a + b, 0))}`];
    const words = [counted(terms.length, "product")];
    if (count > terms.length) { signs.push(exact(others)); words.push(`${count - terms.length} smaller ones`); }
    if (rest != null) { signs.push(exact(rest)); words.push(account.op.startsWith("batch_norm") ? "shift" : "bias"); }
    if (signs.length === 1 && terms.length) make("p.formula", box, `the sum of ${words[0]}: ${exact(sum)}`);
    else if (terms.length || rest !== null) make("p.formula", box, `${signs.join(" + ").replaceAll("+ −", "− ")} = ${exact(sum)}   (${words.join(", ")})`);
    if (!terms.length) { if (back) make("p", box, "Every product is 0."); return; }
    const top = Math.max(...products.map(Math.abs)) || 1;
    const table = make("table", box);
    const head = make("tr", make("thead", table));
    const titles = back ? ["where it was used", "gradient there", "counts", "product", ""] : ["from", "number", kind === "largest" ? "chosen" : "weight", "product", ""];
    titles.forEach((title) => make("th", head, title));
    const body = make("tbody", table);
    terms.forEach(([owner, place, x, factor], k) => {
      const row = make("tr", body);
      this.link(make("td", row), owner, place);
      make("td", row, exact(x));
      make("td", row, kind === "largest" ? (factor ? "yes" : "no") : exact(factor));
      make("td", row, exact(products[k]));
      const bar = make(products[k] < 0 ? "i.less" : "i.more", make("td.bar", row));
      bar.style.width = `${Math.abs(products[k] / top) * 46}%`;
    });
  },

  // Where a number stands, as a way to it.
  link(parent, owner, place) {
    const pixel = place.length === 3 ? `channel ${place[0]}, row ${place[1]}, column ${place[2]}` : place.join(", ");
    const words = owner === -1 ? `picture, ${pixel}` : typeof owner === "number" && owner >= 0 ? `${this.structure.parts[owner].words} ${this.placeWords(place)}` : owner === -2 ? "the loss" : `${owner} ${place.join(", ")}`;
    if (typeof owner !== "number" || owner < 0) { make("span", parent, words); return; }
    const to = make("button.plain.link", parent, words);
    to.onclick = () => this.app.go({ part: owner, channel: place[0], place });
  },
});
