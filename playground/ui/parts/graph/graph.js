// The player of a formula's graph: positions 0..nodes go forward, the rest goes back.
const graphs = new WeakMap();
const WIDE = 104, TALL = 64, GAP_X = 34, GAP_Y = 16, SMALLEST = 0.8;
const short = (value) => numberText(value);
const factor = (value) => (value < 0 ? `(${short(value)})` : short(value)); // inside a product
const shape = (name, attributes, parent) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
};

class GraphPlayer {
  constructor(host) {
    this.root = host.querySelector(".graph");
    this.find = (selector) => this.root.querySelector(selector);
    this.position = null;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.find(".speed").value = "0";
    this.resizes = new ResizeObserver(() => { if (this.data) this.fit(); });
    this.resizes.observe(this.root);
    for (const button of this.root.querySelectorAll("[data-do]")) button.onclick = () => this.act(button.dataset.do);
    this.find(".speed").onchange = () => { if (this.playing) { this.play(false); this.play(true); } };
    this.find(".scrub").oninput = (event) => { this.play(false); this.goTo(Number(event.target.value)); };
    this.root.onkeydown = (event) => {
      const key = { ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "last", " ": "play" }[event.key];
      const control = event.target.closest("select, input, button");
      if (!key || event.ctrlKey || event.metaKey || event.altKey || (control && !(control.matches("button") && event.key !== " "))) return;
      event.preventDefault();
      this.act(key);
    };
  }

  load(data) {
    const same = JSON.stringify(this.data?.nodes?.map((n) => n.label)) === JSON.stringify(data.nodes.map((n) => n.label));
    this.data = data;
    this.operations = data.nodes.map((node, k) => k).filter((k) => data.nodes[k].inputs.length);
    this.count = this.operations.length + data.steps.length;
    this.find(".scrub").max = this.count;
    this.draw();
    const asked = Number(new URL(window.location.href).searchParams.get("step") ?? NaN);
    if (this.position === null) this.position = Number.isInteger(asked) && asked >= 0 ? asked : Math.min(this.count, this.operations.length + 1);
    else if (!same) this.position = Math.min(this.count, this.operations.length + 1);
    this.goTo(Math.min(this.position, this.count));
  }

  draw() {
    const { nodes } = this.data;
    const canvas = this.find("svg");
    canvas.replaceChildren();
    const rows = nodes.flatMap((node) => [node.row, ...Object.values(node.ways)]);
    const [low, high] = [Math.min(...rows), Math.max(...rows)];
    const layers = Math.max(...nodes.map((node) => node.layer)) + 1;
    const width = layers * WIDE + (layers - 1) * GAP_X + 8;
    const height = (high - low + 1) * (TALL + GAP_Y) - GAP_Y + 8;
    this.width = width;
    this.height = height;
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const place = ({ layer, row }) => [4 + layer * (WIDE + GAP_X), 4 + (row - low) * (TALL + GAP_Y)];
    this.edges = [];
    nodes.forEach((node, to) => node.inputs.forEach((from, slot) => {
      const [ax, ay] = place(nodes[from]);
      let [x, y] = [ax + WIDE, ay + TALL / 2];
      let d = `M${x},${y}`;
      const lead = (toX, toY) => {
        d += ` C${x + GAP_X / 2},${y} ${toX - GAP_X / 2},${toY} ${toX},${toY}`;
        [x, y] = [toX, toY];
      };
      for (let layer = nodes[from].layer + 1; layer < node.layer; layer++) { // past the boxes between
        const [wayX, wayY] = place({ layer, row: nodes[from].ways[layer] });
        lead(wayX, wayY + TALL / 2);
        d += ` H${(x += WIDE)}`;
      }
      const [bx, by] = place(node);
      lead(bx, by + TALL * (node.inputs.length === 1 ? 0.5 : 0.3 + 0.4 * slot));
      this.edges.push({ path: shape("path", { class: "edge", d }, canvas), from, to });
    }));
    this.boxes = nodes.map((node) => {
      const [x, y] = place(node);
      const group = shape("g", { class: `node${node.inputs.length ? "" : " leaf"}` }, canvas);
      shape("rect", { x, y, width: WIDE, height: TALL, rx: 8 }, group);
      const middle = { x: x + WIDE / 2 };
      const spelled = !node.inputs.length && !node.learns; // a number is its own name
      const label = shape("text", { ...middle, y: y + (spelled ? 36 : 18), class: "label" }, group);
      label.textContent = node.inputs.length ? `${node.name} = ${node.label === "neg" ? "−" : node.label}` : node.name;
      const value = shape("text", { ...middle, y: y + 36 }, group);
      const chip = shape("rect", { x: x + 6, y: y + 42, width: WIDE - 12, height: 17, rx: 4, class: "chip" }, group);
      return { group, value, chip, gradient: shape("text", { ...middle, y: y + 55, class: "gradient" }, group) };
    });
  }

  goTo(position) {
    this.position = Math.min(Math.max(position, 0), this.count);
    const { nodes, steps } = this.data;
    const forward = Math.min(this.position, this.operations.length);
    const back = Math.max(0, this.position - this.operations.length);
    const done = new Set(this.operations.slice(0, forward));
    const totals = back || this.position === this.count ? { [nodes.length - 1]: 1 } : {};
    for (const step of steps.slice(0, back)) for (const sent of step.sent) totals[sent.node] = sent.total;
    const now = back ? steps[back - 1].node : forward ? this.operations[forward - 1] : -1;
    nodes.forEach((node, k) => {
      const box = this.boxes[k];
      box.value.textContent = (node.inputs.length ? done.has(k) : node.learns) ? short(node.value) : "";
      const arrived = k in totals && node.learns;
      box.gradient.textContent = arrived ? `∂: ${short(totals[k])}` : "";
      box.chip.style.display = arrived ? "" : "none";
      if (arrived) {
        const rgb = colourAt(this.data.signed, totals[k] / this.data.limit / 2 + 0.5);
        box.chip.style.fill = `rgb(${rgb})`;
        box.gradient.style.fill = inkOn(rgb);
      }
      box.group.setAttribute("class", `node${node.inputs.length ? "" : " leaf"}${k === now ? " now" : ""}`);
    });
    for (const { path, to } of this.edges) path.setAttribute("class", `edge${to === now ? " now" : ""}`);
    this.tell(forward, back, now);
    this.now = now;
    this.fit();
    this.find(".scrub").value = this.position;
    for (const name of ["first", "back"]) this.find(`[data-do="${name}"]`).disabled = this.position === 0;
    for (const name of ["last", "forward"]) this.find(`[data-do="${name}"]`).disabled = this.position === this.count;
    this.root.dataset.position = this.position;
    window.playgroundStep = this.position; // what "Copy link" takes along
    this.find(".spoken").textContent = this.find(".said").innerText;
  }

  // A graph a little too wide is drawn smaller; one much too wide (on a phone) scrolls in its box to where it happens.
  fit() {
    const canvas = this.find(".canvas");
    const room = canvas.clientWidth - 24; // its padding
    const scale = room / this.width >= SMALLEST ? Math.min(1, room / this.width) : 1;
    const drawing = this.find("svg");
    drawing.setAttribute("width", this.width * scale);
    drawing.setAttribute("height", this.height * scale);
    if (this.now >= 0) canvas.scrollLeft = 16 + this.data.nodes[this.now].layer * (WIDE + GAP_X) + WIDE / 2 - canvas.clientWidth / 2;
  }

  tell(forward, back, now) {
    const { nodes, steps } = this.data;
    const what = this.find(".what");
    const lines = this.find(".lines");
    lines.replaceChildren();
    const line = (text) => { const row = document.createElement("div"); row.textContent = text; lines.append(row); };
    if (!this.position) {
      what.textContent = "Nothing is computed yet.";
    } else if (!back) {
      const node = nodes[now];
      const parts = node.inputs.map((k) => nodes[k]);
      const say = (words) => words.length === 1 ? (node.label === "neg" ? `−${words[0]}` : `${node.label}(${words[0]})`) : words.join(` ${node.label} `);
      what.textContent = `Forward · operation ${forward} of ${this.operations.length}`;
      line(`${node.name} = ${say(parts.map((p) => p.name))} = ${say(parts.map((p) => node.inputs.length > 1 ? factor(p.value) : short(p.value)))} = ${short(node.value)}`);
    } else {
      const step = steps[back - 1];
      const before = {};
      for (const past of steps.slice(0, back - 1)) for (const sent of past.sent) before[sent.node] = sent.total;
      what.textContent = `Backward · operation ${back} of ${steps.length}: what arrives at ${nodes[step.node].name} times the derivative of ${nodes[step.node].label === "neg" ? "−" : nodes[step.node].label}`;
      for (const sent of step.sent) {
        const name = nodes[sent.node].name;
        const sum = sent.node in before ? `${short(before[sent.node])} + ` : "";
        line(`∂/∂${name} = ${sum}∂/∂${nodes[step.node].name} · ${sent.local} = ${sum}${factor(sent.upstream)} · ${factor(sent.factor)} = ${short(sent.total)}`);
        before[sent.node] = sent.total;
      }
    }
  }

  play(on) {
    clearInterval(this.timer);
    if (on && this.find(".speed").value === "0") return this.goTo(this.position === this.count ? 0 : this.position + 1);
    this.playing = on;
    this.find(".play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (this.position === this.count) this.goTo(0);
    this.timer = setInterval(() => {
      this.goTo(this.position + 1);
      if (this.position === this.count) this.play(false);
    }, 1000 / Number(this.find(".speed").value));
  }

  act(name) {
    if (name === "play") return this.play(!this.playing);
    this.play(false);
    this.goTo({ first: 0, last: this.count, back: this.position - 1, forward: this.position + 1 }[name]);
  }

  stop() {
    this.play(false);
    this.resizes.disconnect();
    delete window.playgroundStep;
  }
}

export default function ({ data, parentElement }) {
  if (!graphs.has(parentElement)) graphs.set(parentElement, new GraphPlayer(parentElement));
  const player = graphs.get(parentElement);
  player.load(data);
  return () => { player.stop(); graphs.delete(parentElement); };
}
