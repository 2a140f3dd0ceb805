// What the player says of a step, a window or a cell: the line below the grids, and the sentence a screen reader reads.
const PRODUCT = ["", "·", ""];
const SPOKEN = { "·": " times ", "−": " minus ", "/": " divided by " };

class Telling {
  constructor(player) {
    this.player = player;
  }

  // "y[2,3]" in its grid's colour.
  named(name, index, parent) {
    const matrix = this.player.matrices[name];
    const element = html("b", "", parent, matrix.label(index));
    element.style.color = matrix.colour;
    return element;
  }

  value(name, step) {
    const index = this.player.story.marks[name][step];
    return this.player.matrices[name].grid.values?.[index] ?? this.player.story.writes[name][step];
  }

  valueText(name, step) {
    return this.player.matrices[name].text(this.player.story.marks[name][step], this.value(name, step));
  }

  operandText(name, step) {
    const text = this.valueText(name, step);
    return text.startsWith(MINUS) ? `(${text})` : text;
  }

  product(step, formula = this.player.story.equation) {
    const [before, between, after] = formula.signs ?? PRODUCT;
    if (before.endsWith("(")) return before + formula.operands.map((name) => this.valueText(name, step)).join(between) + after;
    return before + formula.operands.map((name) => this.operandText(name, step)).join(between) + after;
  }

  // "w[0,1]·dy[1,1]", each name in its grid's colour.
  formula(update, step, parent) {
    const [before, between, after] = update.signs ?? PRODUCT;
    parent.append(before);
    update.operands.forEach((name, k) => { if (k) parent.append(between); this.named(name, this.player.story.marks[name][step], parent); });
    parent.append(after);
  }

  // What each update does in the step just done: dx[2,3] = 4 + w[0,1]·dy[1,1] = 4 + 2·3 = 10.
  updates(group) {
    const { leader, marks, writes, updates, step_name: stepName, group_name: groupName } = this.player.story;
    const [first, end] = [this.player.groupStart[group], this.player.groupStart[group + 1]];
    const now = this.player.position - 1;
    const what = this.player.find(".what");
    what.replaceChildren();
    if (marks[leader]?.[first] >= 0) {
      this.named(leader, marks[leader][first], what);
      what.append(" · ");
    }
    what.append(`${groupName} ${group + 1} of ${this.player.groupStart.length - 1}`);
    if (end - first > 1) what.append(` · ${stepName} ${Math.max(0, Math.min(this.player.position, end) - first)} of ${end - first}`);
    const terms = this.player.find(".terms");
    terms.replaceChildren();
    if (now < 0) return terms.append("Nothing is done yet.");
    for (const update of updates) {
      const { target } = update;
      const cell = marks[target][now];
      if ((cell < 0 && !update.nowhere) || update.operands.some((name) => marks[name][now] < 0)) continue;
      const line = html("div", "", terms);
      if (cell < 0) {
        this.formula(update, now, line);
        line.append(` = ${this.product(now, update)}: ${update.nowhere}`);
        continue;
      }
      this.named(target, cell, line);
      const before = this.before(update, now);
      const [old, gap] = update.replaces ? ["", ""] : [before, " + "];
      line.append(` = ${old}${gap}`);
      this.formula(update, now, line);
      line.append(` = ${old}${gap}`);
      html("span", "term now", line, this.product(now, update));
      html("span", "total", line, ` = ${written(writes[target][now], update.digits)}`);
    }
  }

  // What a step's target held before it.
  before({ target, digits }, step) {
    const { marks, writes } = this.player.story;
    const cell = marks[target][step], earlier = this.player.lastWrite(target, cell, step);
    return written(earlier < 0 ? this.player.matrices[target].grid.values?.[cell] ?? 0 : writes[target][earlier], digits);
  }

  isPadding(step) {
    return Object.entries(this.player.story.marks).some(([name, cells]) => cells[step] >= 0 && this.player.matrices[name].isBorder(cells[step]));
  }

  group(group, upTo, inspecting) {
    const { equation, marks, writes, step_name: stepName, group_name: groupName } = this.player.story;
    const [first, end] = [this.player.groupStart[group], this.player.groupStart[group + 1]];
    const now = upTo - 1;
    const what = this.player.find(".what");
    what.replaceChildren();
    this.named(equation.result, marks[equation.result][first], what);
    const done = Math.max(0, Math.min(upTo, end) - first);
    what.append(` · ${groupName} ${group + 1} of ${this.player.groupStart.length - 1}`);
    what.append(inspecting ? " · complete" : ` · ${stepName} ${done} of ${end - first}`);
    if (!inspecting && now >= first) {
      what.append(" · now ");
      equation.operands.forEach((name, k) => { if (k) what.append("·"); this.named(name, marks[name][now], what); });
      if (this.isPadding(now)) what.append(" (padding)");
    }
    const terms = this.player.find(".terms");
    terms.replaceChildren();
    terms.append(equation.opening);
    if (equation.start !== null) {
      const digits = Number.isInteger(equation.start) ? 0 : Math.max(equation.digits, 2);
      const start = html("span", "term start", terms, written(equation.start, digits));
      start.title = equation.start_name;
      start.style.color = this.player.story.colours[equation.start_symbol] ?? "";
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

  // A cell that is pointed at: its number, and which windows it is in or what it gathers.
  cell(matrix, index, steps) {
    const { equation, updates, marks, writes, group_name: groupName, step_name: stepName } = this.player.story;
    const what = this.player.find(".what");
    what.replaceChildren();
    this.named(matrix.grid.name, index, what);
    const value = matrix.grid.values?.[index];
    if (value !== undefined) what.append(` = ${matrix.text(index, value)}`);
    if (matrix.isBorder(index)) what.append(" (padding)");
    const terms = this.player.find(".terms");
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
        html("span", `term${step < this.player.position ? "" : " later"}`, terms, this.product(step, own));
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

  // The step just done as a sentence with its numbers: "w[1,1] 0 times x[4,2] 98 is 0; so far −312".
  spoken() {
    const { story, position, groupStart, groupOf } = this.player;
    const now = position - 1;
    if (now < 0) return "At the start: nothing is done yet.";
    const group = groupOf[now];
    const place = `${story.group_name} ${group + 1} of ${groupStart.length - 1}`;
    const head = now === groupStart[group] ? `${place}: ` : "";
    const tail = position === groupStart[group + 1] && !head ? ` (${place})` : "";
    if (!story.equation) return `${head}${this.spokenUpdates(now).join("; ")}${tail}.`;
    const { result, operands, digits } = story.equation;
    const value = written(story.writes[result][now], digits);
    const target = this.label(result, now);
    const sum = position === groupStart[group + 1] ? `${target} is ${value}` : `so far ${value}`;
    const one = operands.length > 1 ? `${this.factors(operands, now)} is ${this.multiplied(operands, now, digits)}` : this.factors(operands, now);
    return `${head}${one}${this.isPadding(now) ? " (padding)" : ""}; ${sum}${tail}.`;
  }

  spokenUpdates(now) {
    const { marks, writes, updates } = this.player.story;
    return updates.filter(({ target, operands, nowhere }) =>
      (marks[target][now] >= 0 || nowhere) && operands.every((name) => marks[name][now] >= 0)).map((update) => {
      const { target, operands, digits, replaces, nowhere } = update;
      const cell = marks[target][now];
      if (cell < 0) return `${this.factors(operands, now, update.signs)}: ${nowhere}`;
      const before = replaces ? "" : `${this.before(update, now)} plus `;
      return `${this.label(target, now)}: ${before}${this.factors(operands, now, update.signs)} is ${written(writes[target][now], digits)}`;
    });
  }

  label(name, step) {
    return this.player.matrices[name].label(this.player.story.marks[name][step]);
  }

  factors(operands, step, [before, between] = PRODUCT) {
    const said = operands.map((name) => `${this.label(name, step)} ${this.valueText(name, step)}`);
    return before.replace("(", " of ").replace(MINUS, "minus ") + said.join(SPOKEN[between.trim()] ?? between);
  }

  multiplied(operands, step, digits) {
    return written(operands.reduce((product, name) => product * this.value(name, step), 1), digits);
  }
}
