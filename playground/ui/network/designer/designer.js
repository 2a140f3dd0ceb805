// The designer: cards, steppers, a palette between any two parts. The server decides; the browser draws and foretells.
const NAMES = { half: "½", less: "−", more: "+", double: "2×" };
const WORDS = { half: "half", less: "one less", more: "one more", double: "double" };
const screens = new WeakMap();
// Of a card and of all that is folded into it.
const faultsIn = (card) => [...card.faults, ...card.branches.flatMap(({ cards }) => cards.flatMap(faultsIn))];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

class Screen {
  constructor(root) {
    this.root = root;
    this.open = ""; // the path of the card whose details are shown
    this.place = null; // where the palette stands: the path a new part would have
    this.edits = new Edits((all) => this.setTriggerValue("edits", all));
    this.focusing = ""; // what gets the focus when next drawn, by its data-focus
    this.resting = 0;
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("pointerdown", () => this.press());
  }

  answered({ data, setTriggerValue }) {
    const first = this.data === undefined;
    if (this.place && this.follows && data.text !== this.data.text) {
      this.place = followed(this.place, this.data.cards, data.cards);
      this.follows = false;
    }
    this.data = data;
    this.setTriggerValue = setTriggerValue;
    this.edits.done(data.applied);
    if (this.edits.waiting.length) this.edits.resend();
    else this.draw(first);
  }

  // A button that is redrawn while it is held down would never be clicked: it is drawn when it was let go.
  press() {
    const ends = ["pointerup", "pointercancel"];
    const end = () => {
      ends.forEach((one) => document.removeEventListener(one, end, true));
      this.pressed = false;
      setTimeout(() => this.late && !this.pressed && this.draw());
    };
    if (!this.pressed) ends.forEach((one) => document.addEventListener(one, end, true));
    this.pressed = true;
  }

  draw(first = false) {
    this.late = this.pressed && !first;
    if (this.late) return;
    if (this.edits.waiting.length) return; // the answer to those is on its way
    const { data, setTriggerValue } = this;
    this.root.setAttribute("aria-busy", "false");
    if (first) {
      const before = kept(data.text);
      if (before && data.history.texts.length === 1 && !data.locked) setTriggerValue("restored", before);
      else keep(data.history);
    } else keep(data.history);
    const focus = this.root.getRootNode().activeElement?.dataset?.focus;
    this.root.classList.toggle("locked", data.locked);
    this.root.replaceChildren(this.bar(), this.cards(data.cards, []), this.end(), this.foretelling = make("p", { class: "foretold", "aria-live": "polite" }));
    this.foretell("");
    if (focus || this.focusing) this.focus(this.focusing, focus, "undo", "redo");
    this.focusing = "";
    clearTimeout(this.resting);
    if (this.rested !== data.text) {
      this.resting = setTimeout(() => {
        this.rested = data.text;
        setTriggerValue("rested", data.text);
      }, 900);
    }
  }

  // The first of these that is still there: who works with the keyboard goes on from it.
  focus(...names) {
    const found = names.filter(Boolean).map((name) => this.root.querySelector(`[data-focus="${CSS.escape(name)}"]`));
    found.find((one) => one && !one.disabled)?.focus({ preventScroll: true });
  }

  // Whether the edit is on its way to the server.
  say(edit) {
    const taken = !this.data.locked && this.edits.add(edit);
    if (taken) {
      this.root.setAttribute("aria-busy", "true");
      this.follows = edit.action !== "remove";
      if (this.place && !this.follows) this.place = without(this.place, edit.path);
    }
    return taken;
  }

  button(words, label, act, options = {}) {
    return make("button", { type: "button", "aria-label": label, title: options.title ?? null, class: options.class, "data-focus": options.focus ?? label,
      disabled: this.data.locked || options.disabled, on: { click: act, ...(options.on ?? {}) } }, words);
  }

  bar() {
    const { undo, redo, totals, takes } = this.data;
    const numbers = [`${brief(totals.parameters)} parameters`, `${brief(totals.multiply_adds)} multiply-adds a picture`, `${bytes(totals.memory)} in training`, `sees ${seen(totals.field)}`];
    if (this.data.seconds) numbers.push(`${lasting(this.data.seconds)} an epoch here`);
    return make("div", { class: "bar" },
      this.button("↶ Undo", undo ? `Undo: ${undo}` : "Undo", () => this.say({ action: "undo", path: [0] }), { disabled: !undo, focus: "undo", title: undo || null }),
      this.button("↷ Redo", redo ? `Redo: ${redo}` : "Redo", () => this.say({ action: "redo", path: [0] }), { disabled: !redo, focus: "redo", title: redo || null }),
      make("span", { class: "totals" }, numbers.join(" · ")),
      make("span", { class: "takes" }, `In: ${takes}`));
  }

  cards(cards, before) {
    const list = make("ol", { class: "cards" });
    cards.forEach((card, index) => list.append(this.between([...before, index], cards), this.card(card, index, cards.length)));
    list.append(this.between([...before, cards.length], cards));
    return list;
  }

  // The "+" between two of these cards, or the palette that it opens.
  between(path, cards) {
    const item = make("li", { class: "between" }), place = path[path.length - 1], again = cards[place - 1]?.again ?? [];
    if (this.place && same(this.place, path)) item.append(this.palette(path, again));
    else {
      item.append(this.button(cards.length ? "+" : "+ add a part", `Add a part as part ${place + 1}`, () => {
        this.place = path;
        this.focusing = again.length ? "again" : `add ${this.data.palette[0].kinds[0].text}`;
        this.draw();
      }, { class: "plus", focus: `plus ${path}` }));
    }
    return item;
  }

  // `again`: what stands right before it and can be put there once more.
  palette(path, again) {
    const add = (edit, parts) => { // the next one follows: the palette stays
      if (this.say({ ...edit, path })) this.place = [...path.slice(0, -1), path[path.length - 1] + parts];
      this.follows = false;
    };
    const close = () => {
      this.place = null;
      this.focusing = `plus ${path}`;
      this.draw();
    };
    return make("div", { class: "palette", role: "group", "aria-label": "What to add here", on: { keydown: (event) => event.key === "Escape" && close() } },
      again.length ? make("div", { class: "group" }, make("span", { class: "of" }, "once more"), this.button(again.join(", "), "Add what stands before once more", () => add({ action: "again" }, again.length), { focus: "again" })) : null,
      ...this.data.palette.map(({ group, kinds }) => make("div", { class: "group" }, make("span", { class: "of" }, group),
        ...kinds.map(({ words, text, parts }) => this.button(words, `Add ${words}`, () => add({ action: "insert", text: text === "d10" ? `d${this.data.classes}` : text }, parts), { focus: `add ${text}` })))),
      this.button("Done", "Close the list of parts", close, { class: "close" }));
  }

  card(card, index, count) {
    const key = card.path.join("."), open = this.open === key;
    const folded = card.kind === "block" && !open && !this.open.startsWith(`${key}.`) && !(this.place && this.place.length > card.path.length && same(this.place.slice(0, card.path.length), card.path));
    const faults = folded ? faultsIn(card) : card.faults, worst = faults.find((fault) => fault.level === "stop") ? "stop" : faults.length ? faults[0].level : "";
    const main = card.fields.find((field) => field.name === card.main);
    const place = card.path[card.path.length - 1];
    const moved = (by) => () => this.move(card.path, by, count);
    const item = make("li", { class: `card ${worst} ${card.gives ? "" : "beyond"}`, "data-path": key },
      make("div", { class: "line" },
        this.handle(card),
        make("button", { type: "button", class: "name", "aria-expanded": String(open), "data-focus": `name ${key}`, on: { click: () => { this.open = open ? "" : key; this.draw(); } } },
          make("b", {}, `${index + 1} `), card.words, card.detail ? make("small", {}, ` ${card.detail}`) : null),
        main ? this.stepper(card, main) : make("span", { class: "stepper none" }),
        make("span", { class: "shape" }, card.gives ? card.gives.map((n) => numberText(n, 6)).join(" × ") : "not reached"),
        make("span", { class: "count", title: "parameters" }, card.parameters ? `${brief(card.parameters)} par.` : ""),
        make("span", { class: "count", title: "multiply-adds a picture" }, card.multiply_adds ? `${brief(card.multiply_adds)} m-a` : ""),
        make("span", { class: "tools" },
          this.button("↑", `Move part ${index + 1} up`, moved(-1), { disabled: place === 0, focus: `up ${key}` }),
          this.button("↓", `Move part ${index + 1} down`, moved(1), { disabled: place === count - 1, focus: `down ${key}` }),
          this.button("✕", `Remove part ${index + 1}: ${card.words}`, () => this.say({ action: "remove", path: card.path }), { focus: `remove ${key}`, on: this.telling(`Without ${card.words}`, `${key}::out`) }))));
    if (open) item.append(this.details(card, main, count - index));
    faults.forEach((fault) => item.append(this.fault(fault)));
    if (folded) item.append(make("p", { class: "inside" }, card.branches[0].cards.map((one) => one.words).join(" → ")));
    else card.branches.forEach(({ role, cards }, number) => item.append(make("div", { class: "branch" }, role ? make("span", { class: "role" }, role) : null, this.cards(cards, [...card.path, number]))));
    return item;
  }

  stepper(card, field) {
    const key = card.path.join("."), label = `${field.words} of ${card.words}`;
    const set = (value) => this.say({ action: "set", path: card.path, name: field.name, value });
    if (field.flag) {
      const box = make("input", { type: "checkbox", checked: field.value === 1, disabled: this.data.locked, "data-focus": `${key}:${field.name}`, on: { change: (event) => set(event.target.checked ? 1 : 0) } });
      return make("label", { class: "flag" }, box, field.words);
    }
    const step = (name) => this.button(NAMES[name], `${WORDS[name]}: ${label}`, () => set(field.steps[name]), {
      disabled: !(name in field.steps), focus: `${key}:${field.name}:${name}`, on: this.telling(`${field.words} ${field.said} → ${numberText(field.steps[name] ?? NaN, 6)}`, `${key}:${field.name}:${name}`) });
    const typed = make("input", { type: "text", inputmode: "decimal", value: field.said, "aria-label": label, disabled: this.data.locked, "data-focus": `${key}:${field.name}`, on: {
      focus: (event) => event.target.select(),
      keydown: (event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.target.blur();
      },
      change: (event) => {
        const value = Number(event.target.value.trim().replace("−", "-").replace(",", "."));
        if (event.target.value.trim() !== "" && Number.isFinite(value) && value !== field.value) set(value);
        else event.target.value = field.said;
      } } });
    return make("span", { class: "stepper", role: "group", "aria-label": label }, step("half"), step("less"), typed, step("more"), step("double"));
  }

  details(card, main, most) {
    const box = make("div", { class: "details" });
    card.fields.filter((field) => field !== main).forEach((field) => box.append(make("div", { class: "field" }, field.flag ? null : make("span", { class: "words" }, field.words), this.stepper(card, field))));
    if (card.field !== undefined && card.gives) box.append(make("p", {}, `One number of what it gives sees ${seen(card.field)}. ${numberText(card.parameters, 12)} parameters, ${numberText(card.multiply_adds, 12)} multiply-adds a picture.`));
    const acts = make("div", { class: "acts" });
    const count = make("input", { type: "number", min: 1, max: most, value: 1, "aria-label": "How many parts from this one on" });
    acts.append(
      this.button("Shortcut round", "Put a shortcut round so many parts", () => this.say({ action: "wrap", path: card.path, text: "[", count: Number(count.value) || 1 })),
      this.button("One card of", "Make one card of so many parts", () => this.say({ action: "wrap", path: card.path, text: "{", count: Number(count.value) || 1 })),
      make("label", {}, count, "parts from here on"));
    if (card.container) acts.append(this.button("Take the brackets away", "Take the brackets away", () => this.say({ action: "unwrap", path: card.path })));
    box.append(acts);
    return box;
  }

  fault(fault) {
    const mark = { stop: "Does not fit", warn: "Doubtful", note: "Note" }[fault.level];
    return make("p", { class: `fault ${fault.level}` }, make("b", {}, `${mark}: `), fault.sentence, " ",
      ...fault.cures.map((cure) => this.button(cure.label, cure.label, () => this.say(cure.edit), { class: "cure" })));
  }

  end() {
    return make("div", { class: "end" }, ...this.data.faults.map((fault) => this.fault(fault)), make("span", {}, `Out: ${numberText(this.data.classes, 4)} scores, one for each class`));
  }

  // Pointing at a step, or coming to it by Tab, says what it would cost: without asking the server.
  telling(words, key) {
    const row = this.data.whatif[key];
    const tell = () => this.foretell(row ? foretold(words[0].toUpperCase() + words.slice(1), row, this.data) : "");
    return { mouseenter: tell, focus: tell, mouseleave: () => this.foretell(""), blur: () => this.foretell("") };
  }

  foretell(text) {
    this.foretelling.textContent = text || "Point at a step to see what it would cost.";
    this.foretelling.classList.toggle("empty", !text);
  }

  move(path, by, count) {
    const place = path[path.length - 1], to = place + by;
    if (to < 0 || to >= count) return;
    this.say({ action: "move", path, to: [...path.slice(0, -1), by > 0 ? to + 1 : to] });
  }

  // The handle is dragged with mouse or finger; a phone needs no drag: the buttons beside do the same.
  handle(card) {
    const grip = make("button", { type: "button", class: "handle", "aria-label": `Move ${card.words}: drag, or Alt and the arrow keys`, disabled: this.data.locked, "data-focus": `handle ${card.path.join(".")}` }, "⠿");
    grip.addEventListener("pointerdown", (event) => {
      if (this.data.locked) return;
      grip.setPointerCapture(event.pointerId);
      let target = null;
      const over = (moving) => {
        const cards = [...this.root.querySelectorAll(".card")].filter((one) => one.dataset.path.split(".").length === card.path.length && same(one.dataset.path.split(".").slice(0, -1).map(Number), card.path.slice(0, -1)));
        this.root.querySelectorAll(".drop").forEach((one) => one.classList.remove("drop", "after"));
        target = null;
        for (const one of cards) {
          const box = one.getBoundingClientRect();
          if (moving.clientY < box.top || moving.clientY > box.bottom) continue;
          const after = moving.clientY > (box.top + box.bottom) / 2;
          one.classList.add("drop");
          one.classList.toggle("after", after);
          target = Number(one.dataset.path.split(".").pop()) + (after ? 1 : 0);
        }
      };
      const end = (ended) => {
        grip.removeEventListener("pointermove", over);
        this.root.querySelectorAll(".drop").forEach((one) => one.classList.remove("drop", "after"));
        const own = card.path[card.path.length - 1];
        if (ended.type === "pointerup" && target !== null && target !== own && target !== own + 1) this.say({ action: "move", path: card.path, to: [...card.path.slice(0, -1), target] });
      };
      grip.addEventListener("pointermove", over);
      grip.addEventListener("pointerup", end, { once: true });
      grip.addEventListener("pointercancel", end, { once: true });
    });
    return grip;
  }

  key(event) {
    const card = event.target.closest?.(".card");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      const again = event.shiftKey;
      if (again ? this.data.redo : this.data.undo) this.say({ action: again ? "redo" : "undo", path: [0] });
      return;
    }
    if (!card || event.target.tagName === "INPUT") return;
    const path = card.dataset.path.split(".").map(Number);
    const siblings = [...card.parentElement.children].filter((one) => one.classList.contains("card"));
    const place = siblings.indexOf(card), by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by && event.altKey) this.move(path, by, siblings.length);
    else if (by) {
      const all = [...this.root.querySelectorAll(".card")];
      all[all.indexOf(card) + by]?.querySelector(".name").focus();
    } else if (event.key === "Delete") this.say({ action: "remove", path });
    else return;
    event.preventDefault();
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".designer");
  if (!screens.has(root)) screens.set(root, new Screen(root));
  screens.get(root).answered({ data, setTriggerValue });
}
