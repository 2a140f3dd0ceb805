// The player: a position 0..steps, and what the screen shows there. Appended to cells.js and telling.js by Python.
const players = new WeakMap();

class Player {
  constructor(host) {
    this.root = host.querySelector(".stepper");
    this.find = (selector) => this.root.querySelector(selector);
    this.position = null;
    this.playing = false;
    this.inspected = null; // { matrix, index, pinned }
    this.unit = "step";
    this.telling = new Telling(this);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.find(".speed").value = "0";
    this.listen();
    this.resizes = new ResizeObserver(() => { this.width = this.root.clientWidth; this.layout(); });
    this.resizes.observe(this.root);
  }

  load(story) {
    const same = this.story && this.story.groups.length === story.groups.length;
    this.story = story;
    this.count = story.groups.length;
    this.inspected = null;
    this.groupStart = [...story.groups.keys()].filter((step) => story.groups[step] !== story.groups[step - 1]);
    this.groupStart.push(this.count);
    this.groupOf = new Int32Array(this.count);
    for (let g = 0; g + 1 < this.groupStart.length; g++) this.groupOf.fill(g, this.groupStart[g], this.groupStart[g + 1]);
    this.stepsAt = {};
    for (const [name, cells] of Object.entries(story.marks)) {
      const lists = (this.stepsAt[name] = []);
      cells.forEach((cell, step) => { if (cell >= 0) (lists[cell] ??= []).push(step); });
    }
    this.build();
    if (this.position === null) {
      const asked = Number(new URL(window.location.href).searchParams.get("step") ?? NaN);
      this.position = Number.isInteger(asked) && asked >= 0 ? asked : story.start;
    } else if (!same) {
      this.position = story.start;
    }
    this.goTo(Math.min(this.position, this.count), false);
  }

  build() {
    const { story } = this;
    this.draw(story);
    this.root.setAttribute("aria-label", `${story.label}. Arrow keys step, up and down go by ${story.group_name}, space plays.`);
    const [unitStep, unitGroup] = this.find(".unit").options;
    unitStep.textContent = `by ${story.step_name}`;
    unitGroup.textContent = `by ${story.group_name}`;
    for (const [name, words, key] of [["group-back", " back", "↑"], ["group-forward", "", "↓"]]) {
      const button = this.find(`[data-do="${name}"]`);
      button.ariaLabel = `One ${story.group_name}${words}`;
      button.title = `${button.ariaLabel} (${key})`;
    }
    this.find(".scrub").max = this.count;
    const notes = this.find(".notes");
    notes.replaceChildren();
    for (const note of story.footnotes) html("span", "", notes, note);
    this.layout();
  }

  // A grid of the same size keeps its cells and takes the new numbers; any other is drawn anew.
  draw({ grids, scales, colours }) {
    const places = JSON.stringify(grids.map((grid) => [grid.name, Boolean(grid.side)]));
    const made = (grid) => {
      const matrix = (this.matrices[grid.name] = new Matrix(grid, scales, colours));
      this.watch(matrix);
      return matrix.figure;
    };
    if (this.places === places) {
      for (const grid of grids) {
        const before = this.matrices[grid.name];
        if (before.fits(grid)) before.take(grid);
        else before.figure.replaceWith(made(grid));
      }
      return;
    }
    this.places = places;
    this.matrices = {};
    const holder = this.find(".grids");
    holder.replaceChildren();
    let column = null;
    for (const grid of grids) {
      if (!grid.side) column = null;
      else column ??= html("div", "side-by-side", holder);
      (column ?? holder).append(made(grid));
    }
  }

  // One cell size for all large grids, so that a smaller output is seen to be smaller. The width is what the observer
  // last saw, and places are measured in the next frame: to ask now would lay the whole page out in between.
  layout() {
    if (!this.story) return;
    const width = (this.width ??= this.root.clientWidth) - 26;
    if (width < 50) return;
    const large = this.story.grids.filter((grid) => !grid.side);
    const many = large.length > 5;
    const side = this.story.grids.filter((grid) => grid.side);
    const sideColumns = Math.max(0, ...side.map((grid) => grid.columns));
    const tallest = Math.max(...large.map((grid) => grid.rows));
    const wide = (this.wide = this.width > 540); // as in stepper.css
    const all = large.reduce((sum, grid) => sum + grid.columns, 0);
    const most = Math.max(...large.map((grid) => grid.columns));
    const sideWidth = Math.max(wide ? 96 : 84, Math.min(wide ? 150 : 100, (wide ? 38 : 44) * sideColumns));
    let room = wide ? (width - sideWidth - 22 * large.length) / all : (width + 6 - (side.length ? sideWidth + 12 : 0)) / most;
    const legible = large.every((grid) => this.matrices[grid.name].readable(Math.floor(Math.min(36, room)))[1]);
    const beside = wide || (room >= 20 && legible);
    if (!beside) room = (width + 6) / most;
    this.find(".grids").className = `grids ${beside ? "beside" : "stacked"}${many ? " many" : ""}`;
    const cell = Math.max(8, Math.floor(Math.min(46, room, wide ? 560 / tallest : 36)));
    const sideCell = Math.floor(Math.min(44, sideWidth / Math.max(1, sideColumns)));
    for (const matrix of Object.values(this.matrices)) matrix.resize(...(matrix.grid.side ? [sideCell, sideWidth] : [cell, many ? 96 : 140]));
    cancelAnimationFrame(this.measuring);
    this.measuring = requestAnimationFrame(() => {
      const origin = this.find(".ties").getBoundingClientRect();
      for (const matrix of Object.values(this.matrices)) matrix.measure(origin);
      this.drawTies();
    });
  }

  // What a step-filled cell holds after the first `position` steps, looking back no further than step `from`.
  lastWrite(name, index, position, from = 0) {
    const steps = this.stepsAt[name][index];
    if (!steps) return -1;
    let [low, high] = [0, steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < position) low = middle + 1;
      else high = middle;
    }
    return low && steps[low - 1] >= from ? steps[low - 1] : -1;
  }

  goTo(position, speak = true) {
    this.position = Math.min(Math.max(position, 0), this.count);
    this.find(".scrub").value = this.position;
    for (const name of ["first", "back", "group-back"]) this.find(`[data-do="${name}"]`).disabled = this.position === 0;
    for (const name of ["last", "forward", "group-forward"]) this.find(`[data-do="${name}"]`).disabled = this.position === this.count;
    this.root.dataset.position = this.position;
    window.playgroundStep = this.position; // what "Copy link" takes along
    this.render();
    if (speak) this.find(".spoken").textContent = this.telling.spoken();
    if (!this.playing) this.find(".scrub").setAttribute("aria-valuetext", `step ${this.position} of ${this.count}. ${this.telling.spoken()}`);
  }

  goByGroup(direction) {
    const { groupStart, position } = this;
    if (direction > 0) this.goTo(groupStart.find((start) => start > position) ?? this.count);
    else this.goTo(groupStart.findLast((start) => start < position) ?? 0);
  }

  render() {
    const whole = this.inspected?.matrix.grid.whole_group;
    const seen = this.inspected ? this.stepsOf(this.inspected) : null;
    if (seen && !(whole && seen.length)) this.renderCell(seen);
    else {
      const now = this.position - 1;
      const group = seen ? this.groupOf[seen[0]] : this.groupOf[Math.max(now, 0)];
      const upTo = seen ? this.groupStart[group + 1] : this.position;
      this.fill(group, upTo);
      for (const [name, matrix] of Object.entries(this.matrices)) {
        const marks = this.story.marks[name] ?? [];
        const cells = matrix.grid.side ? [] : marks.slice(this.groupStart[group], this.groupStart[group + 1]);
        matrix.outline(cells, !seen && now >= 0 ? marks[now] ?? -1 : -1, new Set(cells).size > 1);
        if (matrix.grid.whole_group && seen) matrix.outline(cells.slice(0, 1), cells[0], false);
      }
      if (this.story.equation) this.telling.group(group, upTo, Boolean(seen));
      else this.telling.updates(group);
    }
    for (const matrix of Object.values(this.matrices)) {
      const mine = this.inspected?.matrix === matrix;
      if (mine) matrix.box(matrix.cursorBox, this.inspected.index, this.inspected.index, 1);
      else matrix.cursorBox.style.display = "none";
    }
    this.drawTies();
  }

  fill(group, upTo) {
    for (const [name, values] of Object.entries(this.story.writes)) {
      const matrix = this.matrices[name];
      const { emptied, whole_group: whole } = matrix.grid;
      matrix.cells.forEach((_, index) => {
        const step = emptied
          ? this.lastWrite(name, index, upTo, this.groupStart[group])
          : this.lastWrite(name, index, this.position);
        const partial = whole && step >= 0 && step + 1 !== this.groupStart[this.groupOf[step] + 1];
        matrix.show(index, step < 0 ? matrix.grid.values?.[index] ?? null : values[step], partial);
      });
    }
  }

  stepsOf({ matrix, index }) {
    const steps = this.stepsAt[matrix.grid.name]?.[index] ?? [];
    if (!matrix.grid.emptied) return steps;
    const group = this.groupOf[Math.max(this.position - 1, 0)];
    return steps.filter((step) => this.groupOf[step] === group);
  }

  // A pixel or a weight: where it goes, not one window.
  renderCell(steps) {
    const { matrix } = this.inspected;
    this.fill(this.groupOf[Math.max(this.position - 1, 0)], this.position);
    for (const [name, other] of Object.entries(this.matrices)) {
      const marks = this.story.marks[name];
      const cells = other === matrix || other.grid.emptied || !marks ? [] : steps.map((step) => marks[step]);
      other.outline(cells, -1, false);
    }
    this.telling.cell(matrix, this.inspected.index, steps);
  }

  drawTies() {
    const ties = this.find(".ties");
    ties.replaceChildren();
    if (!this.story || !this.wide || (this.inspected && !this.inspected.matrix.grid.whole_group)) return;
    for (const [from, to] of this.story.ties) {
      const [a, b] = [this.matrices[from].place(), this.matrices[to].place()];
      if (!a || !b) continue;
      for (const edge of ["top", "bottom"]) {
        svg("path", { d: `M${a.right},${a[edge]} L${b.left},${b[edge]}` }, ties).style.stroke = this.matrices[from].frameColour;
      }
    }
  }

  inspect(matrix, index, pinned = false) {
    this.inspected = index === null ? null : { matrix, index, pinned };
    this.root.dataset.inspected = index === null ? "" : `${matrix.grid.name}:${index}`;
    this.render();
  }

  watch(matrix) {
    const cellUnder = (event) => event.target.closest?.("[data-index]")?.dataset.index;
    matrix.svg.onpointermove = (event) => {
      const index = cellUnder(event);
      if (event.pointerType !== "mouse" || this.playing || this.inspected?.pinned || index === undefined) return;
      if (this.inspected?.matrix !== matrix || this.inspected.index !== Number(index)) this.inspect(matrix, Number(index));
    };
    matrix.svg.onpointerleave = () => { if (this.inspected && !this.inspected.pinned) this.inspect(null, null); };
    matrix.svg.onpointerdown = (event) => { event.preventDefault(); this.root.focus({ preventScroll: true }); };
    matrix.svg.onclick = (event) => {
      const index = Number(cellUnder(event));
      const again = this.inspected?.pinned && this.inspected.matrix === matrix && this.inspected.index === index;
      this.play(false);
      this.inspect(matrix, again ? null : index, true);
    };
    matrix.svg.onblur = () => { if (this.inspected) this.inspect(null, null); };
    matrix.svg.onkeydown = (event) => {
      const [rows, columns] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
      if (!rows && !columns) return;
      event.preventDefault();
      event.stopPropagation();
      const here = this.inspected?.matrix === matrix ? matrix.at(this.inspected.index) : [rows ? -rows : 0, columns ? -columns : 0];
      const row = Math.min(Math.max(here[0] + rows, 0), matrix.grid.rows - 1);
      const column = Math.min(Math.max(here[1] + columns, 0), matrix.grid.columns - 1);
      this.play(false);
      this.inspect(matrix, row * matrix.grid.columns + column, true);
      this.find(".spoken").textContent = `${this.find(".what").textContent}. ${this.find(".terms").textContent}`.replaceAll("·", " times ");
    };
  }

  // One step or one window onwards, as Play goes.
  next(from) {
    return this.unit === "step" ? from + 1 : this.groupStart.find((start) => start > from) ?? this.count;
  }

  play(on) {
    if (on === this.playing) return;
    if (on && !this.speed) { // one at a time: nothing moves by itself
      if (this.inspected) this.inspect(null, null);
      return this.goTo(this.position === this.count ? 0 : this.next(this.position));
    }
    this.playing = on;
    this.root.classList.toggle("playing", on);
    this.find(".play span").textContent = on ? "Pause" : "Play";
    if (!on) {
      cancelAnimationFrame(this.frame);
      return this.goTo(this.position); // and says where
    }
    if (this.inspected) this.inspect(null, null);
    if (this.position === this.count) this.goTo(0, false);
    let [before, owed] = [performance.now(), 0.999]; // the first step comes at once
    const tick = (time) => {
      owed += (Math.max(time - before, 0) / 1000) * this.speed;
      before = time;
      let target = this.position;
      for (; owed >= 1 && target < this.count; owed -= 1) {
        target = this.next(target);
      }
      if (target !== this.position) this.goTo(target, false);
      if (this.position === this.count) this.play(false);
      else this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  // How many a second; 0 is one at a time.
  get speed() {
    return Number(this.find(".speed").value);
  }

  act(name) {
    const actions = {
      first: () => this.goTo(0), last: () => this.goTo(this.count),
      back: () => this.goTo(this.position - 1), forward: () => this.goTo(this.position + 1),
      "group-back": () => this.goByGroup(-1), "group-forward": () => this.goByGroup(1),
    };
    if (name === "play") return this.play(!this.playing);
    this.play(false);
    this.inspected = null;
    actions[name]();
  }

  listen() {
    for (const button of this.root.querySelectorAll("[data-do]")) button.onclick = () => this.act(button.dataset.do);
    this.find(".scrub").oninput = (event) => {
      this.play(false);
      this.inspected = null;
      this.goTo(Number(event.target.value), false);
    };
    this.find(".unit").onchange = (event) => { this.unit = event.target.value; };
    this.find(".speed").onchange = () => {
      this.root.classList.toggle("fast", this.speed > 5);
      if (!this.speed) this.play(false);
    };
    this.find(".play span").textContent = "Play";
    this.root.onkeydown = (event) => {
      const control = event.target.closest("button, select, input");
      const keys = { ArrowRight: "forward", ArrowLeft: "back", ArrowDown: "group-forward", ArrowUp: "group-back", Home: "first", End: "last", " ": "play" };
      if (event.key === "Escape" && this.inspected) this.inspect(null, null);
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (control?.matches("select") || (control?.matches("button") && event.key === " ")) return;
      if (control?.matches("input") && event.key !== " " && !event.key.match(/Up|Down/)) return; // the slider's own keys
      event.preventDefault();
      this.act(keys[event.key]);
    };
  }

  stop() {
    this.play(false);
    this.resizes.disconnect();
    cancelAnimationFrame(this.measuring);
    delete window.playgroundStep;
  }
}

export default function ({ data, parentElement }) {
  if (!players.has(parentElement)) players.set(parentElement, new Player(parentElement));
  const player = players.get(parentElement);
  const told = new TextDecoder().decode(data);
  if (told !== player.told) player.load(JSON.parse(told)); // the page brings the same story with all that follows a figure
  player.told = told;
  return () => { player.stop(); players.delete(parentElement); };
}
