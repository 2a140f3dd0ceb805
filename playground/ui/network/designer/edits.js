// What the designer says in numbers, and how its edits reach the server: numbered, each sent until it is known to be done.
const same = (a, b) => a.length === b.length && a.every((n, k) => n === b[k]);

// 1 234 stays; larger ones are thousands or millions.
function brief(value) {
  if (value === null || value === undefined) return "";
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e4, " k"]]) {
    if (value >= size) return numberText(value / (size === 1e4 ? 1e3 : size), 3) + unit;
  }
  return numberText(value, 6);
}
const bytes = (value) => (value < 1e6 ? `${numberText(value / 1e3, 3)} KB` : value < 1e9 ? `${numberText(value / 1e6, 3)} MB` : `${numberText(value / 1e9, 3)} GB`);
const seen = (field) => (field === null ? "the whole picture" : `${numberText(field, 4)} × ${numberText(field, 4)} pixels`);
const lasting = (seconds) => (seconds < 90 ? `${numberText(seconds, 2)} s` : `${numberText(seconds / 60, 2)} min`);
const change = (before, after) => (before ? ` (${after >= before ? "+" : "−"}${numberText(Math.abs(100 * (after / before - 1)), 2)} %)` : "");

// What one step away from the design would cost, in a sentence; `row` is the server's, `data` what there is now.
function foretold(words, row, data) {
  const [parameters, products, memory, field, fault] = row;
  const now = data.totals, said = [];
  said.push(`${brief(now.parameters)} → ${brief(parameters)} parameters${change(now.parameters, parameters)}`);
  said.push(`${brief(now.multiply_adds)} → ${brief(products)} multiply-adds${change(now.multiply_adds, products)}`);
  said.push(`${bytes(memory)} of memory`);
  if (data.seconds && now.multiply_adds) said.push(`about ${lasting(data.seconds * products / now.multiply_adds)} an epoch`);
  if (fault === null && field !== now.field) said.push(`sees ${seen(field)}`);
  const fits = fault === null ? "" : ` Then part ${fault} no longer fits.`;
  return `${words}: ${said.join(", ")}.${fits}`;
}

const MOST_AGAIN = 5;
class Edits {
  constructor(send) {
    this.send = send;
    this.waiting = [];
    this.last = 0;
    this.again = 0; // how often the waiting ones may still be sent again
  }
  // The server has done all up to this number.
  done(number) {
    this.waiting = this.waiting.filter((one) => one.number > number);
    this.last = Math.max(this.last, number);
  }
  // An answer came that does not know of the waiting ones: they are under way, or were lost.
  resend() {
    if (this.again-- > 0) this.send([...this.waiting]);
  }
  // While an edit that moves parts is under way, what stands where is not known: others wait for the answer.
  get moving() {
    return this.waiting.some((one) => one.action !== "set");
  }
  add(edit) {
    if (this.moving) return false;
    this.last += 1;
    this.waiting.push({ ...edit, number: this.last });
    this.again = MOST_AGAIN;
    this.send([...this.waiting]);
    return true;
  }
}

// Where a place of a new part is after a part beside or above it was taken out; null where it was inside of that part.
function without(place, path) {
  const k = path.length - 1;
  if (place.length <= k || !same(place.slice(0, k), path.slice(0, k)) || place[k] < path[k]) return place;
  if (place[k] === path[k]) return place.length > path.length ? null : place;
  return [...place.slice(0, k), place[k] - 1, ...place.slice(k + 1)];
}

// And after any other change, of which the cards before and after are known: it stays between the same two.
function followed(place, before, after) {
  const [at, branch, ...deeper] = place, told = [before, after].map((cards) => cards.map(insideOf));
  const [old, now] = told, most = Math.min(old.length, now.length);
  let first = 0, last = 0;
  while (first < most && old[first] === now[first]) first += 1;
  while (last < most - first && old[old.length - 1 - last] === now[now.length - 1 - last]) last += 1;
  const ahead = deeper.length ? at < first : at <= first, behind = at >= old.length - last;
  const there = ahead ? at : behind ? at + now.length - old.length : Math.min(at, now.length - last);
  if (!deeper.length) return [there];
  if (!ahead && !behind && old.length !== now.length) return null; // what it was in is another part now
  const rest = after[there]?.branches[branch] && before[at]?.branches[branch] && followed(deeper, before[at].branches[branch].cards, after[there].branches[branch].cards);
  return rest ? [there, branch, ...rest] : null;
}
const insideOf = (card) => JSON.stringify([card.kind, card.fields.map((one) => one.value), card.branches.map((one) => one.cards.map(insideOf))]);

const KEPT_AS = "playground-design";
function keep(history) {
  try {
    sessionStorage.setItem(KEPT_AS, JSON.stringify(history));
  } catch { /* no room, or not allowed: then a reload keeps the design alone */ }
}
function kept(text) {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEPT_AS) || "null");
    return found && found.texts.length > 1 && found.texts[found.at] === text ? found : null;
  } catch {
    return null;
  }
}
