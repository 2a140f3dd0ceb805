// Row by row, with row and column numbers. Cells stay while the shape does: only what changed is written.
const shapes = new WeakMap();
const cell = (kind, parent, text, scope) => {
  const element = document.createElement(kind);
  element.textContent = text;
  if (scope) element.scope = scope;
  parent.append(element);
  return element;
};

function build(body, rows, columns) {
  body.replaceChildren();
  const head = body.insertRow();
  cell("td", head, "");
  for (let column = 0; column < columns; column++) cell("th", head, column, "col");
  const cells = [];
  for (let row = 0; row < rows; row++) {
    const line = body.insertRow();
    cell("th", line, row, "row");
    for (let column = 0; column < columns; column++) cells.push(cell("td", line, ""));
  }
  return cells;
}

export default function ({ data, parentElement }) {
  const { values, colours, inks, columns, inspected, label } = data;
  let drawn = shapes.get(parentElement);
  if (!drawn || drawn.columns !== columns || drawn.cells.length !== values.length) {
    drawn = { columns, seen: [], cells: build(parentElement.querySelector("tbody"), values.length / columns, columns) };
    shapes.set(parentElement, drawn);
    parentElement.querySelector(".numbers").style.setProperty("--wide", columns + 1);
  }
  parentElement.querySelector("table").setAttribute("aria-label", label);
  drawn.cells.forEach((element, k) => {
    const seen = `${values[k]} ${colours[k]} ${k === inspected}`;
    if (drawn.seen[k] === seen) return;
    drawn.seen[k] = seen;
    element.textContent = values[k];
    element.title = `x[${Math.floor(k / columns)},${k % columns}] = ${values[k]}`;
    element.style.background = colours[k];
    element.style.color = inks[k];
    element.className = k === inspected ? "inspected" : "";
    if (k === inspected) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
  });
}
