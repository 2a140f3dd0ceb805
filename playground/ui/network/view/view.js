// The whole: what is asked (forward or back, of what, in which colours), the way down, the walk, the film of a training.
class View {
  constructor(parent) {
    const root = (this.root = parent.querySelector(".network"));
    this.state = { back: false, target: null, scale: "layer", mode: "eval", epoch: "", open: new Set(), ...NOWHERE, step: null };
    this.bar = make(".bar", root);
    this.bar.role = "group";
    this.bar.ariaLabel = "What is shown";
    this.crumbs = make("nav.crumbs", root);
    this.crumbs.ariaLabel = "Where you are";
    this.walk = make(".walk", root);
    const body = make(".panes", root);
    this.panes = [new Pane(this, body, false), new Pane(this, body, true)];
    this.main = this.panes[0];
    this.flow = make(".flow", root);
    this.film = make(".film", root);
    this.said = make("p.said", root);
    this.said.ariaLive = "polite";
    this.width = root.clientWidth;
    new ResizeObserver(() => {
      const width = root.clientWidth;
      if (width && abs(width - this.width) > 4) { this.width = width; this.draw(); }
    }).observe(root);
    this.loupe();
    root.addEventListener("keydown", (event) => {
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
    const other = token !== first.token, before = first.net;
    if (!await this.open(first, token, titles[0])) return;
    second.root.hidden = !data.second;
    if (data.second) await this.open(second, data.second, titles[1]);
    if (other) {
      if (before && String(before.labels) !== String(first.net.labels)) state.target = null;
      this.steps = null;
    }
    if (other ? !epochs.map(String).includes(state.epoch) : !live && state.epoch === "live") state.epoch = live ? "live" : String(epochs.at(-1) ?? "");
    if (!first.has(state)) this.go({});
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
    return token === pane.token && pane.net;
  }

  // --- what is asked ---
  controls() {
    const { labels, label, scores, modes } = this.main.net;
    const held = this.held();
    this.bar.replaceChildren();
    const pair = make(".tabs", this.bar);
    pair.role = "group";
    pair.ariaLabel = "Direction";
    for (const [words, back] of [["Forward", false], ["Backward", true]]) {
      const button = make("button", pair, words);
      button.ariaPressed = this.state.back === back;
      button.onclick = () => { this.state.back = back; this.state.step = null; this.controls(); this.draw(); };
    }
    const named = (words) => {
      const holder = make("label", this.bar);
      make("span", holder, words);
      return make("select", holder);
    };
    const choose = (words, options, chosen, take) => {
      const select = named(words);
      for (const [value, text] of options) select.add(new Option(text, value));
      select.value = chosen;
      select.onchange = () => { take(select.value); this.controls(); this.draw(); };
      return select;
    };
    if (this.state.back) {
      const classes = labels.slice(0, max(2, scores));
      const few = classes.length <= 40 ? classes.map((words, k) => [k, words]) : this.likely().map((k) => [k, labels[k]]);
      const options = [[`loss:${label}`, `the loss for “${labels[label] ?? label}”`], ...few.filter(([k]) => k !== label).map(([k, words]) => [`loss:${k}`, `the loss, were it “${words}”`]), ...few.map(([k, words]) => [`score:${k}`, `the score of “${words}”`])];
      const now = this.main.back;
      if (!options.some(([value]) => value === now)) options.push([now, now.startsWith("number") ? "a chosen number" : now]);
      choose("from", options, now, (value) => { this.state.target = value; this.state.step = null; this.steps = null; });
    } else choose("Full colour by", ["layer", "stage", "network"].map((one) => [one, one]), this.state.scale, (value) => { this.state.scale = value; });
    if (modes) choose("Mode", [["eval", "evaluation"], ["train", "training: batch statistics, dropout"]], this.state.mode, (value) => { this.state.mode = value; });
    this.jump = this.listParts(named("Part"));
    this.controlled()[held]?.focus();
    this.walkControls();
  }

  controlled() {
    return [...this.bar.querySelectorAll("button, select")];
  }

  // Which of the controls has the focus: they are made anew when one of them is used.
  held() {
    return this.controlled().indexOf(this.root.getRootNode().activeElement);
  }

  // All parts, those of a column that is not open too: from one to its numbers are two presses.
  listParts(select) {
    const { tree } = this.main.net;
    let leafing;
    select.add(new Option("the whole network", ""));
    for (const item of tree) {
      const group = item.key ? make("optgroup", select) : select;
      if (item.key) group.label = item.title;
      for (let part = item.first ?? item; part <= (item.last ?? item); part++) group.append(new Option(`${part + 1}. ${this.main.partWords(part)}`, part));
    }
    select.onkeydown = ({ key }) => { leafing = key.startsWith("Arrow"); }; // else the list is open, which takes the keys
    select.onchange = () => { this.go(select.value ? { part: Number(select.value) } : {}, !leafing); leafing = false; };
    return select;
  }

  likely() {
    const logits = this.main.shown?.frame.logits ?? [];
    return logits.map((_, k) => k).sort((a, b) => logits[b] - logits[a]).slice(0, 12);
  }

  walkFrom(target) {
    this.state.back = true;
    this.state.target = target;
    this.steps = null;
    this.controls();
    this.go({});
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
    const pane = this.main;
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
    const pane = this.main;
    const to = sent.map(([name, size]) => `${exact(size)} to ${typeof name === "number" ? pane.partWords(name) : name}`);
    this.told.textContent = `Op ${step + 1} of ${this.steps.length}, ${op.replaceAll("_", " ")} of ${pane.partWords(part)}: sends ${to.join(", ") || "nothing on"} (root mean squares)`;
  }

  step(at) {
    if (!this.steps) return;
    this.state.step = at === null || at >= this.steps.length ? null : max(0, at);
    this.tell();
    if (this.state.part !== null) return;
    this.moving = true;
    this.root.ariaBusy = "true";
    this.panes.forEach((pane) => pane.laidOut && pane.paint(pane.shown.frame, pane.ofPicture));
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
    const pause = max(60, min(400, 9000 / this.steps.length));
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

  go(to, focus = true) {
    Object.assign(this.state, NOWHERE, to);
    clearTimeout(this.resting);
    this.moving = false;
    const wish = (this.focusNext = focus && {});
    this.walkControls();
    this.draw().then(() => { if (this.focusNext === wish) this.focusNext = false; }); // else another one came in between
    const { part, channel, place, weight } = this.state;
    this.send("chosen", part === null ? null : { part, channel, place, weight, back: this.main.back, epoch: this.state.epoch });
  }

  up() {
    const { part, channel, place, weight } = this.state;
    const inMap = place !== null && this.main.net.parts[part].shape.length === 3;
    this.go(weight !== null || inMap ? { part, channel } : channel !== null ? { part } : {});
  }

  drawCrumbs() {
    const { part, channel, place, weight } = this.state;
    if (this.jump) this.jump.value = part ?? "";
    if (part === null && this.crumbs.hidden) return;
    this.crumbs.replaceChildren();
    const pane = this.main;
    const steps = [["Network", {}]];
    if (part !== null) {
      const folds = [...pane.folds.values()].filter((one) => one.first <= part && part <= one.last && one.kind !== "unit");
      folds.forEach((one) => steps.push([one.title, null, one.key]));
      steps.push([pane.partWords(part), { part }]);
      if (channel !== null && (pane.net.parts[part].shape.length === 3 || place === null)) steps.push([pane.mapWords(part, channel), { part, channel }]);
      if (place !== null) steps.push([pane.placeWords(place).replace(/^map \d+, /, ""), { part, channel, place }]);
      if (weight !== null) steps.push(["weight"]);
    }
    steps.forEach(([words, to, key], k) => {
      if (k) make("span", this.crumbs, "›");
      if (k === steps.length - 1) { make("b", this.crumbs, words); return; }
      const button = make("button.plain.link", this.crumbs, words);
      button.onclick = () => {
        if (key) { this.state.open.add(key); this.go({}); } else this.go(to);
      };
    });
    this.crumbs.hidden = steps.length < 2;
  }

  // --- drawing ---
  async draw() {
    const panes = this.panes.filter((pane) => pane.token && pane.net && !pane.root.hidden);
    if (panes[0] !== this.main) return; // it is still being opened, or could not be
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.drawing = true;
    this.drawCrumbs();
    const { part, channel, place, weight } = this.state;
    this.flow.hidden = part !== null;
    this.root.ariaBusy = "true";
    for (const pane of panes) {
      try {
        if (!pane.has(this.state)) throw Error("This network has no such part, map or number.");
        if (place !== null || weight !== null) await pane.drawNumber(part, channel, place, weight);
        else if (channel !== null) await pane.drawMap(part, channel);
        else if (part !== null) await pane.drawLayer(part);
        else await pane.drawNetwork();
        if (part !== null) pane.drawAnswer(await pane.frame([pane.net.parts.length - 1]));
        else if (!this.moving) {
          if (pane === panes[0]) await this.drawFlow(pane);
          pane.drawArcs();
        }
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
    const apart = (x, y) => abs((x ?? 0) - (y ?? 0)) > COMPARED * max(abs(x ?? 0), abs(y ?? 0), 1e-12);
    const alike = a.length === b.length;
    const first = alike ? a.findIndex((row, k) => !row.none && ["rms", "min", "max"].some((name) => apart(row[name], b[k][name]))) : -1;
    panes.forEach((pane) => pane.cells.slice(1).forEach((cell, k) => cell.section.classList.toggle("apart", k === first)));
    this.say(!alike ? "They have other parts." : first < 0 ? "No part differs." : `The first part where they differ: ${panes[0].cells[first + 1].words}.`);
  }

  // --- an address that leads back here ---
  remember() {
    const { back, target, open, part, channel, place, weight, epoch } = this.state;
    const words = [back ? `back-${(target ?? "").replaceAll(":", "_")}` : "", ...[...open].map((key) => `open-${key}`), part === null ? "" : `part-${part}`, channel === null ? "" : `map-${channel}`, place === null ? "" : `at-${place.join("_")}`, weight === null ? "" : `weight-${weight}`, epoch === "" || epoch === "live" ? "" : `epoch-${epoch}`];
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
      if (name === "weight" && whole) this.state.weight = Number(value);
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
