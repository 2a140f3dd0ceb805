// The player: a position 0..steps, and what the screen shows there. Appended to cells.js by Python.
const players = new WeakMap();

class Player {
  constructor(host) {
    this.root = host.querySelector(".stepper");
    this.find = (selector) => this.root.querySelector(selector);
    this.position = null;
    this.playing = false;
    this.inspected = null; // { matrix, index, pinned }
    this.unit = "step";
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
    const side = this.story.grids.filter((grid) => grid.side);
    const sideColumns = Math.max(0, ...side.map((grid) => grid.columns));
    const tallest = Math.max(...large.map((grid) => grid.rows));
    const wide = (this.wide = this.width > 540); // as in stepper.css
    const all = large.reduce((sum, grid) => sum + grid.columns, 0);
    const most = Math.max(...large.map((grid) => grid.columns));
    const sideWidth = Math.max(wide ? 96 : 84, Math.min(wide ? 150 : 100, (wide ? 38 : 44) * sideColumns));
    let room = wide ? (width - sideWidth - 22 * large.length) / all : (width + 6 - (side.length ? sideWidth + 12 : 0)) / most;
    const beside = wide || room >= 20;
    if (!beside) room = (width + 6) / most;
    this.find(".grids").className = `grids ${beside ? "beside" : "stacked"}`;
    const cell = Math.max(8, Math.floor(Math.min(46, room, wide ? 560 / tallest : 36)));
    const sideCell = Math.floor(Math.min(44, sideWidth / Math.max(1, sideColumns)));
    for (const matrix of Object.values(this.matrices)) matrix.resize(matrix.grid.side ? sideCell : cell, sideWidth);
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
    this.find(".scrub").setAttribute("aria-valuetext", `step ${this.position} of ${this.count}`);
    for (const name of ["first", "back", "group-back"]) this.find(`[data-do="${name}"]`).disabled = this.position === 0;
    for (const name of ["last", "forward", "group-forward"]) this.find(`[data-do="${name}"]`).disabled = this.position === this.count;
    this.root.dataset.position = this.position;
    window.playgroundStep = this.position; // what "Copy link" takes along
    this.render();
    if (speak) this.find(".spoken").textContent = this.find(".what").textContent + ". " + (this.find(".terms .total")?.textContent ?? "");
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
      if (this.story.equation) this.writeGroup(group, upTo, Boolean(seen));
      else this.writeUpdates(group);
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

  // "y[2,3]" in its grid's colour.
  named(name, index, parent) {
    const matrix = this.matrices[name];
    const element = html("b", "", parent, matrix.label(index));
    element.style.color = matrix.colour;
    return element;
  }

  operandText(name, step) {
    const matrix = this.matrices[name];
    const index = this.story.marks[name][step];
    const text = matrix.text(index, matrix.grid.values?.[index] ?? this.story.writes[name][step]);
    return text.startsWith("−") ? `(${text})` : text;
  }

  product(step, formula = this.story.equation) {
    return formula.operands.map((name) => this.operandText(name, step)).join("·");
  }

  // What each update does in the step just done: dx[2,3] = 4 + w[0,1]·dy[1,1] = 4 + 2·3 = 10.
  writeUpdates(group) {
    const { leader, marks, writes, updates, step_name: stepName, group_name: groupName } = this.story;
    const [first, end] = [this.groupStart[group], this.groupStart[group + 1]];
    const now = this.position - 1;
    const what = this.find(".what");
    what.replaceChildren();
    if (marks[leader]?.[first] >= 0) {
      this.named(leader, marks[leader][first], what);
      what.append(" · ");
    }
    what.append(`${groupName} ${group + 1} of ${this.groupStart.length - 1}`);
    if (end - first > 1) what.append(` · ${stepName} ${Math.max(0, Math.min(this.position, end) - first)} of ${end - first}`);
    const terms = this.find(".terms");
    terms.replaceChildren();
    if (now < 0) return terms.append("Nothing is done yet.");
    for (const update of updates) {
      const { target } = update;
      const cell = marks[target][now];
      if ((cell < 0 && !update.nowhere) || update.operands.some((name) => marks[name][now] < 0)) continue;
      const line = html("div", "", terms);
      if (cell < 0) {
        update.operands.forEach((name, k) => { if (k) line.append("·"); this.named(name, marks[name][now], line); });
        line.append(` = ${this.product(now, update)}: ${update.nowhere}`);
        continue;
      }
      this.named(target, cell, line);
      const earlier = this.lastWrite(target, cell, now);
      const before = written(earlier < 0 ? this.matrices[target].grid.values?.[cell] ?? 0 : writes[target][earlier], update.digits);
      const [old, gap] = update.replaces ? ["", ""] : [before, " + "];
      line.append(` = ${old}${gap}`);
      update.operands.forEach((name, k) => { if (k) line.append("·"); this.named(name, marks[name][now], line); });
      line.append(` = ${old}${gap}`);
      html("span", "term now", line, this.product(now, update));
      html("span", "total", line, ` = ${written(writes[target][now], update.digits)}`);
    }
  }

  isPadding(step) {
    return Object.entries(this.story.marks).some(([name, cells]) => cells[step] >= 0 && this.matrices[name].isBorder(cells[step]));
  }

  writeGroup(group, upTo, inspecting) {
    const { equation, marks, writes, step_name: stepName, group_name: groupName } = this.story;
    const [first, end] = [this.groupStart[group], this.groupStart[group + 1]];
    const now = upTo - 1;
    const what = this.find(".what");
    what.replaceChildren();
    this.named(equation.result, marks[equation.result][first], what);
    const done = Math.max(0, Math.min(upTo, end) - first);
    what.append(` · ${groupName} ${group + 1} of ${this.groupStart.length - 1}`);
    what.append(inspecting ? " · complete" : ` · ${stepName} ${done} of ${end - first}`);
    if (!inspecting && now >= first) {
      what.append(" · now ");
      equation.operands.forEach((name, k) => { if (k) what.append("·"); this.named(name, marks[name][now], what); });
      if (this.isPadding(now)) what.append(" (padding)");
    }
    const terms = this.find(".terms");
    terms.replaceChildren();
    terms.append(equation.opening);
    if (equation.start !== null) {
      const digits = Number.isInteger(equation.start) ? 0 : Math.max(equation.digits, 2);
      const start = html("span", "term start", terms, written(equation.start, digits));
      start.title = equation.start_name;
      start.style.color = this.story.colours[equation.start_symbol] ?? "";
    }
    for (let step = first; step < end; step++) {
      if (step > first || equation.start !== null) terms.append(equation.joint);
      const late = step > now ? " later" : step === now && !inspecting ? " now" : "";
      html("span", `term${late}${this.isPadding(step) ? " border" : ""}`, terms, this.product(step));
    }
    terms.append(equation.closing);
    const value = now < first ? equation.start ?? 0 : writes[equation.result][Math.min(now, end - 1)];
    html("span", "total", terms, ` = ${written(value, equation.digits)}`);
    if (done < end - first) html("span", "total-note", terms, "\u00a0so far");
  }

  stepsOf({ matrix, index }) {
    const steps = this.stepsAt[matrix.grid.name]?.[index] ?? [];
    if (!matrix.grid.emptied) return steps;
    const group = this.groupOf[Math.max(this.position - 1, 0)];
    return steps.filter((step) => this.groupOf[step] === group);
  }

  // A pixel or a weight: where it goes, not one window.
  renderCell(steps) {
    const { matrix, index } = this.inspected;
    const { equation, updates, marks, writes, group_name: groupName, step_name: stepName } = this.story;
    this.fill(this.groupOf[Math.max(this.position - 1, 0)], this.position);
    for (const [name, other] of Object.entries(this.matrices)) {
      const cells = other === matrix || other.grid.emptied || !marks[name] ? [] : steps.map((step) => marks[name][step]);
      other.outline(cells, -1, false);
    }
    const what = this.find(".what");
    what.replaceChildren();
    this.named(matrix.grid.name, index, what);
    const value = matrix.grid.values?.[index];
    if (value !== undefined) what.append(` = ${matrix.text(index, value)}`);
    if (matrix.isBorder(index)) what.append(" (padding)");
    const terms = this.find(".terms");
    terms.replaceChildren();
    if (!steps.length) {
      what.append(equation ? ` is in no ${groupName}` : " gets nothing");
      return;
    }
    const shown = steps.slice(0, 12);
    const own = updates.find((update) => update.target === matrix.grid.name);
    if (own) { // where a cell's number comes from, all of it
      what.append(` gathers ${steps.length} ${stepName}${steps.length > 1 ? "s" : ""}`);
      shown.forEach((step, k) => {
        if (k) terms.append(" + ");
        html("span", `term${step < this.position ? "" : " later"}`, terms, this.product(step, own));
      });
      if (steps.length > shown.length) terms.append(` + ${steps.length - shown.length} more`);
      html("span", "total", terms, ` = ${written(writes[own.target][steps.at(-1)], own.digits)}`);
      return;
    }
    what.append(steps.length === 1 ? ` is in one ${equation ? groupName : stepName}` : ` is in ${steps.length} ${equation ? groupName : stepName}s`);
    shown.forEach((step, k) => {
      if (k) terms.append(", ");
      for (const to of equation ? [equation] : updates.filter((update) => update.operands.includes(matrix.grid.name))) {
        const target = equation ? equation.result : to.target;
        const term = html("span", "term", terms);
        if (marks[target][step] < 0) { term.append(to.nowhere || "0"); continue; }
        this.named(target, marks[target][step], term);
        term.append(`: ${this.product(step, to)}`);
      }
    });
    if (steps.length > shown.length) terms.append(` and ${steps.length - shown.length} more`);
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
      this.find(".spoken").textContent = this.find(".what").textContent + ". " + this.find(".terms").textContent;
    };
  }

  play(on) {
    if (on === this.playing) return;
    this.playing = on;
    this.root.classList.toggle("playing", on);
    this.find(".play span").textContent = on ? "Pause" : "Play";
    if (!on) return cancelAnimationFrame(this.frame);
    if (this.inspected) this.inspect(null, null);
    if (this.position === this.count) this.goTo(0, false);
    let [before, owed] = [performance.now(), 0.999]; // the first step comes at once
    const tick = (time) => {
      owed += (Math.max(time - before, 0) / 1000) * this.speed;
      before = time;
      let target = this.position;
      for (; owed >= 1 && target < this.count; owed -= 1) {
        target = this.unit === "step" ? target + 1 : this.groupStart.find((start) => start > target) ?? this.count;
      }
      if (target !== this.position) this.goTo(target, false);
      if (this.position === this.count) this.play(false);
      else this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

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
    this.find(".speed").onchange = () => this.root.classList.toggle("fast", this.speed > 5);
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
