// Below the network: all maps of a part, one map as a sum, one number as products.
const NOTHING = "What the gradients are of does not depend on this part.";

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
    const about = this.net.parts[index];
    return about.more ? `${about.words}, ${about.more}` : about.words;
  },

  placeWords(place) {
    return place.length === 3 ? `map ${place[0]}, row ${place[1]}, column ${place[2]}` : place.length ? `number ${place.join(", ")}` : "";
  },

  mapWords(part, channel) {
    return `${this.net.parts[part].shape.length === 1 ? "unit" : "map"} ${channel}`;
  },

  async drawLayer(part) {
    const query = { part, back: this.back, scale: this.app.state.scale, ...this.common };
    const [frame, words] = await Promise.all([this.bytes("layer", query), this.about(part)]);
    if (this.app.state.part !== part || this.app.state.channel !== null) return;
    const row = frame.parts[0];
    this.clear();
    const list = make(".columns.alone", this.area);
    this.list = list;
    const section = make("section.column", list);
    const canvas = make("canvas.maps", section);
    const width = max(120, this.app.width - (this.app.wide ? 420 : 20));
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
    if (cell.layout) this.point(cell, 0, this.app.focusNext && !this.second);
    this.words(list, words, row);
  },

  async about(part) {
    this.abouts ??= new Map();
    const key = `${this.token} ${part}`;
    if (!this.abouts.has(key)) this.abouts.set(key, await this.json("about", { part }));
    return this.abouts.get(key);
  },

  // What a part is, its formula, its sizes, its code.
  words(parent, words, row) {
    const side = make(".words", parent);
    make("p", side, words.what);
    if (words.formula) make("p.formula", side, words.formula);
    const rows = [...words.rows];
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
      const tabs = make(".tabs", side);
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
    const line = make(".legend", parent);
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
    const box = make(".map", this.area);
    const left = make(".whole", box);
    make("h2", left, `${this.back ? "Gradient of " : ""}${this.mapWords(part, channel)} of ${this.partWords(part)}`);
    if (frame.none) {
      make("p", left, NOTHING);
      return;
    }
    const table = this.app.table;
    const side = min(this.app.wide ? 360 : this.app.width - 24, max(frame.h, frame.w) * 40);
    const unit = side / max(frame.h, frame.w);
    const [wide, tall] = [max(1, frame.w * unit), max(1, frame.h * unit)];
    const holder = make(".holder", left);
    const canvas = make("canvas.maps", holder);
    canvas.ariaLabel = `${frame.h} rows, ${frame.w} columns, from ${exact(frame.min)} to ${exact(frame.max)}`;
    const values = frame.values ? floats(frame, frame.values) : null;
    const bytes = values ? bytesOf(values, frame.limit) : frame.body.subarray(frame.bytes, frame.bytes + frame.h * frame.w);
    drawBytes(canvas, bytes, frame.w, frame.h, table, wide, tall);
    const power = values && unit >= 26 ? this.printNumbers(canvas.getContext("2d"), values, frame, unit) : 0;
    this.legend(left, { limit: frame.limit });
    if (power) make("small", left, `The numbers in it are to be multiplied by 10${raised(power)}.`);
    this.list = holder;
    const note = make("p.note", left, "Point at a number; press to see what it is made of.");
    const isRow = this.net.parts[part].shape.length === 1;
    const point = this.pick(holder, [canvas], frame.h, frame.w, (_, row, column) => {
      const value = values ? `: ${numberText(values[row * frame.w + column], 5)}` : "";
      return (note.textContent = (isRow ? `Number ${column}` : `Row ${row}, column ${column}`) + value);
    }, (_, row, column) => this.app.go(isRow ? { part, channel: column, place: [column] } : { part, channel, place: [channel, row, column] }));
    point(0, floor(frame.h / 2), isRow ? channel : floor(frame.w / 2), this.app.focusNext && !this.second);
    if (frame.sum) this.drawSum(box, frame, part, channel);
    if (frame.kernel && (!frame.sum || frame.kernel.gradient)) this.drawKernel(box, frame, part, channel);
    if (frame.sources?.length) this.drawSources(box, frame);
    if (!frame.sum) this.words(box, words, frame);
  },

  printNumbers(context, values, frame, unit) {
    const power = frame.limit >= 0.1 && frame.limit < 1e4 ? 0 : floor(log10(frame.limit));
    const [unitOf, top] = [10 ** power, frame.limit / 10 ** power];
    const digits = top >= 100 ? 0 : top >= 10 ? 1 : 2;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let k = 0; k < values.length; k++) {
      const words = Number.isFinite(values[k]) ? written(values[k] / unitOf, digits) : "NaN";
      context.font = `${max(11, min(13, (unit * 1.7) / words.length))}px sans-serif`;
      if (unit * 1.8 < words.length * 6.2) continue;
      const at = max(-1, min(1, values[k] / frame.limit));
      context.fillStyle = inkOn(colourAt(this.app.data.scale, at / 2 + 0.5));
      context.fillText(words, (k % frame.w + 0.5) * unit, (floor(k / frame.w) + 0.5) * unit);
    }
    return power;
  },

  thumb(parent, frame, { at, h, w }, words, most = 56) {
    const canvas = make("canvas", parent);
    canvas.ariaLabel = words;
    const scale = min(most / max(h, w), 20);
    drawBytes(canvas, frame.body.subarray(at, at + h * w), w, h, this.app.table, w * scale, h * scale);
    return [canvas.getContext("2d"), scale];
  },

  // One number of a part, or one weight of a filter, as products.
  async drawNumber(part, channel, place, weight) {
    const { app } = this, { state } = app, isWeight = weight !== null;
    const query = isWeight ? { part, channel, at: weight } : { part, place: place.join(".") };
    const said = await this.json(isWeight ? "weight" : "number", { ...query, back: this.back, ...this.common });
    if (String([state.part, state.channel, state.place, state.weight]) !== String([part, channel, place, weight])) return;
    this.clear();
    const box = make(".number", this.area);
    const which = isWeight ? `weight ${said.name} [${said.place.join(", ")}]` : this.placeWords(place);
    make("h2", box, `${this.partWords(part)}, ${which}`);
    const gradient = this.back ? `, gradient ${exact(said.gradient)}` : "";
    make("p.value", box, `value ${exact(said.value)}${gradient}`);
    if (said.field && !this.back) this.drawField(box, said);
    const accounts = (this.back ? said.shares : said.made) ?? [];
    if (this.back && said.gradient === null) make("p", box, "What the gradients are of does not depend on this number.");
    else if (this.back && accounts.length > 1) make("p", box, `Its gradient is the sum of what ${accounts.length} ops that take it send back: ${accounts.map((one) => exact(one.value)).join(" + ")}.`);
    else if (!accounts.length && !isWeight) make("p", box, this.back ? "Nothing behind it takes this number." : "It is passed on as it came.");
    accounts.forEach((account) => this.drawAccount(box, account, said));
    const tools = make(".tools", box);
    const tool = (words, act) => { make("button", tools, words).onclick = act; };
    if (!isWeight) tool("Walk back from this number", () => app.walkFrom(`number:${part}:${place.join(".")}`));
    else if (!this.back) tool("Its gradient: walk back", () => { state.back = true; app.controls(); app.go({ part, channel, weight }); });
    const { parameters, shape } = this.net.parts[part];
    if (isWeight || (parameters && shape.length === 1)) tool("All weights beside it", () => app.go({ part, channel }));
    if (app.focusNext && !this.second) tools.firstChild.focus();
  },

  // The picture with the pixels that can reach the number.
  drawField(parent, { field: [top, bottom, left, right], sees: words }) {
    const { h, w } = this.net.picture;
    const scale = 120 / max(h, w);
    const line = make(".line", parent);
    const canvas = make("canvas", line);
    canvas.ariaLabel = words;
    const context = this.drawPicture(canvas, w * scale, h * scale);
    for (const [colour, width] of [["#000000", 4], ["#ffffff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(left * scale + 2, top * scale + 2, (right - left + 1) * scale - 4, (bottom - top + 1) * scale - 4);
    }
    make("small", line, words);
  },

  drawAccount(parent, account) {
    const box = make("section.account", parent);
    const back = Boolean(this.back);
    const { terms, others, rest, count, value, kind } = account;
    make("h3", box, account.words);
    if (kind === "coupled") {
      make("p", box, back ? `${exact(value)}: it depends on all numbers the op took, through their mean and variance or sum.` : `${exact(value)}: depends on ${counted(count, "number")} at once.`);
      return;
    }
    const products = terms.map(([, , x, factor]) => x * factor);
    if (kind === "pointwise" && !back && account.op !== "itself") {
      const [owner, place, x, factor] = terms[0] ?? [];
      make("p.formula", box, terms.length ? `${account.words} of ${exact(x)} = ${exact(value)}, slope there ${exact(factor)}` : `${exact(value)}: the slope is 0 here, so nothing goes back through it`);
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
    const top = max(...products.map(abs)) || 1;
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
      bar.style.width = `${abs(products[k] / top) * 46}%`;
    });
  },

  // Where a number stands, as a way to it.
  link(parent, owner, place) {
    const isPart = owner >= 0;
    const words = owner === -2 ? "the loss" : isPart ? `${this.net.parts[owner].words} ${this.placeWords(place)}` : `${this.partWords(owner)}, ${this.placeWords(place).replace("map", "channel")}`;
    if (!isPart) { make("span", parent, words); return; }
    const to = make("button.plain.link", parent, words);
    to.onclick = () => this.app.go({ part: owner, channel: place[0], place });
  },
});
