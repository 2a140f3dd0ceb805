// A square of number fields coloured by their weights. Python hears of an edit once, when it is finished.
const waiting = new WeakMap(); // what was sent last and when: until the answer to it, older ones do not write into the fields
const PATIENCE = 20000; // milliseconds
const WEIGHT = /^[+-]?(\d{1,6}(\.\d{0,6})?|\.\d{1,6}|\d{1,6}\/0*[1-9]\d{0,5})$/; // as kernel_editor.py reads it
const plain = (text) => text.trim().replace("−", "-").replace(",", ".");

function valueOf(text) {
  const [above, below = "1"] = plain(text).split("/");
  return Number(above) / Number(below);
}

function paint(input, data) {
  const valid = WEIGHT.test(plain(input.value));
  input.ariaInvalid = String(!valid);
  if (!valid) return;
  const rgb = colourAt(data.scale, valueOf(input.value) / data.limit / 2 + 0.5);
  input.style.background = `rgb(${rgb})`;
  input.style.color = inkOn(rgb);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".kernel");
  const { size, texts } = data;
  box.classList.toggle("five", size > 3);
  box.style.gridTemplateColumns = `repeat(${size}, minmax(0, ${size > 3 ? 3.4 : 4}rem))`;
  const last = waiting.get(box);
  const crossed = last && data.heard < last.number && performance.now() - last.when < PATIENCE && box.children.length === size * size;
  while (box.children.length > size * size) box.lastChild.remove();
  while (box.children.length < size * size) box.append(document.createElement("input"));
  const inputs = [...box.children];
  const send = () => {
    if (!inputs.every((input) => WEIGHT.test(plain(input.value)))) return;
    const rows = Array.from({ length: size }, (_, i) => inputs.slice(i * size, (i + 1) * size).map((input) => plain(input.value)).join(" "));
    const number = Math.max(Date.now(), (waiting.get(box)?.number ?? 0) + 1);
    waiting.set(box, { number, when: performance.now() });
    setTriggerValue("edited", { text: rows.join("; "), number });
  };
  inputs.forEach((input, index) => {
    const [row, column] = [Math.floor(index / size), index % size];
    input.type = "text";
    input.inputMode = "text"; // the phone's number pad has no minus and no slash
    input.maxLength = 9;
    input.autocomplete = "off";
    input.disabled = data.locked;
    input.ariaLabel = `w[${row},${column}]`;
    if (!crossed && (input !== parentElement.activeElement || parentElement.activeElement?.dataset.sent === input.value)) input.value = texts[index];
    paint(input, data);
    input.onfocus = () => input.select();
    input.oninput = () => paint(input, data);
    input.onchange = () => { input.dataset.sent = input.value; send(); };
    input.onkeydown = (event) => {
      const moves = { ArrowUp: -size, ArrowDown: size, Enter: size };
      const ends = { ArrowLeft: input.selectionStart === 0 || input.selectionEnd - input.selectionStart === input.value.length ? -1 : 0,
        ArrowRight: input.selectionEnd === input.value.length ? 1 : 0 };
      const target = inputs[index + (moves[event.key] ?? ends[event.key] ?? 0)];
      if (event.key === "Enter" && !target) input.blur();
      if (!target || target === input) return;
      event.preventDefault();
      target.focus(); // leaving the field sends it
    };
  });
}
