// The whole: what is asked (forward or back, of what, in which colours), the way down, the walk, the film of a training.
class View {
  constructor(parent) {
    this.root = parent.querySelector(".network");
    this.state = { back: false, target: null, scale: "layer", mode: "eval", epoch: "", open: new Set(), part: null, channel: null, place: null, step: null };
    this.bar = make("div.bar", this.root);
    this.bar.role = "group";
    this.bar.ariaLabel = "What is shown";
    this.crumbs = make("nav.crumbs", this.root);
    this.crumbs.ariaLabel = "Where you are";
    this.walk = make("div.walk", this.root);
    this.body = make("div.panes", this.root);
    this.panes = [new Pane(this, this.body, false), new Pane(this, this.body, true)];
    this.flow = make("div.flow", this.root);
    this.film = make("div.film", this.root);
    this.said = make("p.said", this.root);
    this.said.ariaLive = "polite";
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.width = this.root.clientWidth;
    new ResizeObserver(() => {
      const width = this.root.clientWidth;
      if (width && Math.abs(width - this.width) > 4) { this.width = width; this.draw(); }
    }).observe(this.root);
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.state.part !== null) { this.up(); event.preventDefault(); }
    });
  }

  get wide() { return this.width >= 700; }

  say(words) { this.said.textContent = words; }

  async take(data, send) {
    this.data = data;
    this.send = send;
    this.table = tableOf(data.scale);
    if (!this.started) {
      this.started = true;
      this.restore(data.at);
    }
    const { state, panes: [first, second] } = this, { token, titles, epochs, live } = data;
    const other = token !== first.token, before = first.structure;
    if (!await this.open(first, token, titles[0])) return;
    second.root.hidden = !data.second;
    if (data.second) await this.open(second, data.second, titles[1]);
    if (other) {
      if (before && String(before.labels) !== String(first.structure.labels)) state.target = null;
      this.steps = null;
    }
    if (other ? !epochs.map(String).includes(state.epoch) : !live && state.epoch === "live") state.epoch = live ? "live" : String(epochs.at(-1) ?? "");
    if (!first.has(state)) this.go(NOWHERE);
    this.controls();
    this.drawFilm();
    await this.draw();
    this.poll();
  }

  async open(pane, token, title) {
    try {
      await pane.open(token, title);
    } catch ({ message }) {
      if (token === pane.token) { pane.token = null; pane.fail(message); }
    }
    return token === pane.token && pane.structure;
  }

  // --- what is asked ---
  controls() {
    const { structure } = this.panes[0];
    const { labels, label, scores, modes } = structure;
    this.bar.replaceChildren();
    const pair = make("div.tabs", this.bar);
    pair.role = "group";
    pair.ariaLabel = "Direction";
    for (const [words, back] of [["Forward", false], ["Backward", true]]) {
      const button = make("button", pair, words);
      button.ariaPressed = this.state.back === back;
      button.onclick = () => { this.state.back = back; this.state.step = null; this.controls(); this.draw(); };
    }
    const choose = (words, options, chosen, take) => {
      const holder = make("label", this.bar);
      make("span", holder, words);
      const select = make("select", holder);
      for (const [value, text] of options) select.add(new Option(text, value));
      select.value = chosen;
      select.onchange = () => { take(select.value); this.controls(); this.draw(); };
      return select;
    };
    if (this.state.back) {
      const classes = labels.slice(0, Math.max(2, scores));
      const few = classes.length <= 40 ? classes.map((words, k) => [k, words]) : this.likely().map((k) => [k, labels[k]]);
      const options = [[`loss:${label}`, `the loss for “${labels[label] ?? label}”`], ...few.filter(([k]) => k !== label).map(([k, words]) => [`loss:${k}`, `the loss, were it “${words}”`]), ...few.map(([k, words]) => [`score:${k}`, `the score of “${words}”`])];
      const now = this.panes[0].back;
      if (!options.some(([value]) => value === now)) options.push([now, now.startsWith("number") ? "a chosen number" : now]);
      choose("from", options, now, (value) => { this.state.target = value; this.state.step = null; this.steps = null; });
    } else choose("Full colour by", ["layer", "stage", "network"].map((one) => [one, one]), this.state.scale, (value) => { this.state.scale = value; });
    if (modes) choose("Mode", [["eval", "evaluation"], ["train", "training: batch statistics, dropout"]], this.state.mode, (value) => { this.state.mode = value; });
    this.walkControls();
  }

  likely() {
    const logits = this.panes[0].shown?.frame.logits ?? [];
    return logits.map((_, k) => k).sort((a, b) => logits[b] - logits[a]).slice(0, 12);
  }

  walkFrom(target) {
    this.state.back = true;
    this.state.target = target;
    this.steps = null;
    this.controls();
    this.go(NOWHERE);
  }

  // --- the walk back, op by op ---
  walkControls() {
    this.walk.replaceChildren();
    this.walk.hidden = !this.state.back || this.state.part !== null;
    if (this.walk.hidden) return;
    const button = (words, label, act) => {
      const one = make("button", this.walk, words);
      one.ariaLabel = label;
      one.onclick = act;
      return one;
    };
    button("First", "To the beginning of the walk", () => this.step(0));
    button("− 1", "One op less", () => this.step((this.state.step ?? this.steps?.length ?? 1) - 1));
    this.playing = button("▶ Play", "Play the walk back as a wave", () => this.play());
    button("+ 1", "One op more", () => this.step((this.state.step ?? -1) + 1));
    button("All", "All of the walk", () => this.step(null));
    this.slider = rangeOn(this.walk, "Op of the walk back", 100);
    this.slider.oninput = () => this.step(Number(this.slider.value));
    this.told = make("span.told", this.walk);
    this.loadSteps().catch(({ message }) => { this.told.textContent = message; });
  }

  async loadSteps() {
    const pane = this.panes[0];
    if (!this.steps) {
      const asked = { back: pane.back, ...pane.common };
      const steps = await pane.json("steps", asked);
      if (asked.back !== pane.back) return;
      this.steps = steps;
    }
    this.slider.max = this.steps.length - 1;
    this.tell();
  }

  tell() {
    const { step } = this.state;
    this.slider.value = step ?? this.steps.length - 1;
    if (step === null || !this.steps[step]) { this.told.textContent = `${counted(this.steps.length, "op")}, all walked`; return; }
    const { part, op, sent } = this.steps[step];
    const pane = this.panes[0];
    const to = sent.map(([name, size]) => `${exact(size)} to ${typeof name === "number" ? pane.partWords(name) : name}`);
    this.told.textContent = `Op ${step + 1} of ${this.steps.length}, ${op.replaceAll("_", " ")} of ${pane.partWords(part)}: sends ${to.join(", ") || "nothing on"} (root mean squares)`;
  }

  step(at) {
    if (!this.steps) return;
    this.state.step = at === null || at >= this.steps.length ? null : Math.max(0, at);
    this.tell();
    if (this.state.part !== null) return;
    this.moving = true;
    this.root.ariaBusy = "true";
    this.panes.forEach((pane) => pane.laidOut && pane.paint(pane.shown.frame, pane.gradientOfPicture));
    this.rest();
  }

  // What scrubbing left out is drawn when it rests.
  rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => { this.moving = false; this.draw(); }, 250);
  }

  play() {
    const stop = () => { clearInterval(this.timer); this.timer = null; reword(this.playing, "▶ Play"); };
    if (this.timer) { stop(); return; }
    if (!this.steps) return;
    this.state.step ??= 0;
    this.playing.textContent = "❚❚ Pause";
    const pause = Math.max(60, Math.min(400, 9000 / this.steps.length));
    this.timer = setInterval(() => {
      if (this.state.step === null || !this.state.back) { stop(); return; }
      this.step(this.state.step + 1);
    }, pause);
  }

  // The parts a gradient has come to, as far as the walk is; null when it is shown whole.
  reached() {
    if (!this.state.back || this.state.step === null || !this.steps) return null;
    const found = new Set();
    this.steps.slice(0, this.state.step + 1).forEach(({ part, sent }) => {
      found.add(part);
      sent.forEach(([to]) => typeof to === "number" && found.add(to));
    });
    found.now = this.steps[this.state.step].part;
    return found;
  }

  // --- where one is ---
  toggle(key) {
    const { open } = this.state;
    if (!open.delete(key)) open.add(key);
    this.draw();
  }

  go(to) {
    Object.assign(this.state, to);
    clearTimeout(this.resting);
    this.moving = false;
    this.focusNext = true;
    this.walkControls();
    this.draw().then(() => { this.focusNext = false; });
    const { part, channel, place } = this.state;
    this.send("chosen", part === null ? null : { part, channel, place, back: this.panes[0].back, epoch: this.state.epoch });
  }

  up() {
    const { channel, place } = this.state;
    if (place !== null && this.panes[0].structure.parts[this.state.part].shape.length === 3) this.go({ place: null });
    else if (channel !== null) this.go({ channel: null, place: null });
    else this.go(NOWHERE);
  }

  drawCrumbs() {
    const { part, channel, place } = this.state;
    if (part === null && this.crumbs.hidden) return;
    this.crumbs.replaceChildren();
    const pane = this.panes[0];
    const steps = [["Network", NOWHERE]];
    if (part !== null) {
      const folds = [...pane.folds.values()].filter((one) => one.first <= part && part <= one.last && one.kind !== "unit");
      folds.forEach((one) => steps.push([one.title, null, one.key]));
      steps.push([pane.partWords(part), { part, channel: null, place: null }]);
      if (channel !== null && pane.structure.parts[part].shape.length === 3) steps.push([`map ${channel}`, { part, channel, place: null }]);
      if (place !== null) steps.push([pane.placeWords(place).replace(/^map \d+, /, ""), { part, channel, place }]);
    }
    steps.forEach(([words, to, key], k) => {
      if (k) make("span", this.crumbs, "›");
      if (k === steps.length - 1) { make("b", this.crumbs, words); return; }
      const button = make("button.plain.link", this.crumbs, words);
      button.onclick = () => {
        if (key) { this.state.open.add(key); this.go(NOWHERE); } else this.go(to);
      };
    });
    this.crumbs.hidden = steps.length < 2;
  }

  // --- drawing ---
  async draw() {
    const panes = this.panes.filter((pane) => pane.token && pane.structure && !pane.root.hidden);
    if (panes[0] !== this.panes[0]) return; // it is still being opened, or could not be
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.drawing = true;
    this.drawCrumbs();
    const { part, channel, place } = this.state;
    this.flow.hidden = part !== null;
    this.root.ariaBusy = "true";
    for (const pane of panes) {
      try {
        if (!pane.has(this.state)) throw Error("This network has no such part, map or number.");
        if (place !== null) await pane.drawNumber(part, place);
        else if (channel !== null) await pane.drawMap(part, channel);
        else if (part !== null) await pane.drawLayer(part);
        else await pane.drawNetwork();
        if (part !== null) pane.drawAnswer(await pane.frame([pane.structure.parts.length - 1]));
        else if (!this.moving && pane === panes[0]) await this.drawFlow(pane);
      } catch ({ message }) {
        if (turn === this.turn) pane.fail(message);
      }
      if (turn !== this.turn) return;
    }
    if (part === null && !this.moving) this.compare(panes);
    this.remember();
    this.drawing = false;
    if (this.state.part !== null) this.moving = false;
    if (this.moving) this.rest();
    else this.root.ariaBusy = "false";
  }

  // The first column in which two networks' numbers differ.
  compare(panes) {
    if (panes.length < 2 || !panes[0].shown || !panes[1].shown) return;
    const [a, b] = panes.map((pane) => pane.shown.frame.parts);
    const apart = (x, y) => Math.abs((x ?? 0) - (y ?? 0)) > COMPARED * Math.max(Math.abs(x ?? 0), Math.abs(y ?? 0), 1e-12);
    const alike = a.length === b.length;
    const first = alike ? a.findIndex((row, k) => !row.none && ["rms", "min", "max"].some((name) => apart(row[name], b[k][name]))) : -1;
    panes.forEach((pane) => pane.cells.slice(1).forEach((cell, k) => cell.section.classList.toggle("apart", k === first)));
    this.say(!alike ? "They have other parts." : first < 0 ? "No part differs." : `The first part where they differ: ${panes[0].cells[first + 1].words}.`);
  }

  // Sizes of activations and gradients, column by column, on a logarithmic axis.
  async drawFlow(pane) {
    if (!pane.shown) return;
    const { columns, frame } = pane.shown;
    const parts = columns.map((one) => one.part);
    const forward = this.state.back ? await pane.frame(parts, { back: "" }) : frame;
    if (pane.shown.frame !== frame) return;
    const back = this.state.back ? frame : null;
    const series = [{ name: "size of the numbers", mark: "●", values: forward.parts.map((row) => row.rms), colour: "var(--st-text-color)" }];
    if (back) {
      series.push({ name: "size of their gradients", mark: "■", values: back.parts.map((row) => row.rms), colour: this.data.series[0] });
      const ratios = pane.inFolds(columns, back.gw);
      if (ratios.some((v) => v > 0)) series.push({ name: "gradient of the weights over the weights", mark: "▲", values: ratios, colour: this.data.series[1] });
    }
    const moved = pane.inFolds(columns, forward.dw);
    if (moved.some((v) => v > 0)) series.push({ name: "last step over the weights, |Δw| / |w|", mark: "◆", values: moved, colour: this.data.series[2] });
    const known = series.flatMap((one) => one.values).filter((v) => v > 0);
    this.flow.replaceChildren();
    pane.list.querySelectorAll(".strip").forEach((one) => one.remove());
    if (!known.length) return;
    const low = Math.floor(Math.log10(Math.min(...known))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known))));
    const { wide } = this, { lines, inLine } = pane;
    const height = lines > 1 ? 90 : 130, left = wide ? pane.each : 44, step = wide ? pane.each + BETWEEN : (this.width - left - 10) / columns.length;
    const width = wide ? (inLine + 1) * step - BETWEEN : this.width;
    const y = (v) => 8 + (height - 28) * (1 - (Math.log10(v) - low) / (high - low));
    const every = Math.max(1, Math.ceil((high - low) / (lines > 1 ? 3 : 5)));
    // Below each line of columns; what lies before and behind it is cut off at the edges, so that the lines go on.
    for (let line = 0; line < lines; line++) {
      const from = line * inLine, holder = wide ? make("div.strip", pane.list) : this.flow;
      if (wide) Object.assign(holder.style, { gridColumn: "1 / -1", gridRow: 6 * line + 6 });
      const sizes = series.map((one) => `${one.name} ${one.values.slice(from, from + inLine).map((v) => numberText(v ?? 0, 2)).join(", ")}`);
      const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Sizes part by part: ${sizes.join("; ")}` }, holder);
      for (let power = low; power <= high; power += every) {
        draw("line", { x1: left, x2: width - 4, y1: y(10 ** power), y2: y(10 ** power), class: "grid" }, svg);
        draw("text", { x: left - 6, y: y(10 ** power) + 4, class: "tick", "text-anchor": "end" }, svg, `10${raised(power)}`);
      }
      const plot = draw("svg", { x: left, width: width - left, height }, svg);
      series.forEach((one) => this.drawSizes(pane, one, plot, (k) => 8 + (k - from) * step + (step - 8) / 2, y, from, from + inLine));
    }
    const legend = make("p.legend", this.flow);
    series.forEach((one) => { const item = make("span", legend); make("b", item, one.mark).style.color = one.colour; item.append(` ${one.name}`); });
  }

  // One series of sizes, from a column to another and a stretch beyond both.
  drawSizes(pane, one, plot, x, y, from, to) {
    const points = one.values.map((v, k) => (v > 0 && k >= from - 1 && k <= to ? [x(k), y(v), v] : null));
    const lines = [];
    points.forEach((point, k) => { if (point && points[k - 1]) lines.push(`M${points[k - 1][0]},${points[k - 1][1]}L${point[0]},${point[1]}`); });
    draw("path", { d: lines.join(""), fill: "none", stroke: one.colour, "stroke-width": 1.5 }, plot);
    points.forEach((point, k) => {
      if (!point || k < from || k >= to) return;
      const [px, py, v] = point;
      const marks = { "●": `M${px - 4},${py}a4,4 0 1 0 8,0a4,4 0 1 0 -8,0`, "■": `M${px - 4},${py - 4}h8v8h-8z`, "▲": `M${px},${py - 5}l5,9h-10z`, "◆": `M${px},${py - 5}l5,5l-5,5l-5,-5z` };
      const mark = draw("path", { d: marks[one.mark], fill: one.colour }, plot);
      draw("title", {}, mark, `${pane.cells[k + 1]?.words ?? ""}: ${one.name} ${numberText(v, 4)}`);
    });
  }

  // --- an address that leads back here ---
  remember() {
    const { back, target, open, part, channel, place, epoch } = this.state;
    const words = [back ? `back-${(target ?? "").replaceAll(":", "_")}` : "", ...[...open].map((key) => `open-${key}`), part === null ? "" : `part-${part}`, channel === null ? "" : `map-${channel}`, place === null ? "" : `at-${place.join("_")}`, epoch === "" || epoch === "live" ? "" : `epoch-${epoch}`];
    window.playgroundView = words.filter(Boolean).join(".");
  }

  restore(text) {
    for (const word of text.split(".")) {
      const [name, ...rest] = word.split("-");
      const value = rest.join("-"), whole = /^\d+$/.test(value);
      if (name === "back") { this.state.back = true; this.state.target = value ? value.replaceAll("_", ":").replace(/^(number:\d+):(.*)$/, (_, head, tail) => `${head}:${tail.replaceAll(":", ".")}`) : null; }
      if (name === "open") this.state.open.add(value);
      if (name === "part" && whole) this.state.part = Number(value);
      if (name === "map" && whole) this.state.channel = Number(value);
      if (name === "at" && /^\d+(_\d+)*$/.test(value)) this.state.place = value.split("_").map(Number);
      if (name === "epoch" && whole) this.state.epoch = value;
    }
  }
}

const views = new WeakMap();
export default function ({ data, parentElement, setStateValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new View(parentElement));
  const view = views.get(parentElement);
  const told = JSON.stringify(data);
  if (view.toldData === told) return;
  view.toldData = told;
  view.take(data, setStateValue);
}
