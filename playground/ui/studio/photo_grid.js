// Thumbnails to choose from. Choosing is the browser's alone; the server hears one sentence: do this with those.
const drawn = new WeakMap();

function element(name, words, properties = {}) {
  const made = document.createElement(name);
  if (words) made.textContent = words; // class and file names are anybody's text
  return Object.assign(made, properties);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".photos");
  const tools = root.querySelector(".tools"), grid = root.querySelector(".grid");
  const signature = JSON.stringify([data.photos.map((photo) => [photo.key, photo.label, photo.half, photo.group]), data.actions, data.stamp]);
  if (drawn.get(root) === signature) return;
  drawn.set(root, signature);

  let last = null, group = null;
  grid.replaceChildren();
  for (const photo of data.photos) {
    if (photo.group && photo.group !== group) grid.append(element("h3", photo.group));
    group = photo.group;
    const box = element("label", "", { className: "photo", title: `${photo.name} · ${photo.label}` });
    box.classList.toggle("aside", photo.half === "validation");
    box.append(element("img", "", { src: photo.src, alt: `${photo.name}, ${photo.label}`, loading: "lazy" }));
    if (data.actions.length) {
      box.classList.add("choosable");
      box.append(element("input", "", { type: "checkbox", value: photo.key }));
    }
    const words = element("span", "", { className: "words" });
    words.append(element("b", photo.label), ` ${photo.note || photo.name}`);
    box.append(words);
    grid.append(box);
  }
  const boxes = [...grid.querySelectorAll("input")];
  tools.replaceChildren();
  if (!boxes.length) return;

  const number = element("span", "", { className: "number" });
  const all = element("button", "All on this page", { type: "button" });
  const actors = [];
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const draw = () => {
    const count = chosen().length;
    number.textContent = count === 1 ? "1 chosen" : `${count} chosen`;
    all.textContent = count === boxes.length ? "None" : "All on this page";
    for (const actor of actors) actor.disabled = count === 0;
  };
  const tell = (what, to) => setTriggerValue("action", { do: what, keys: chosen(), to });
  tools.append(number, all);
  for (const action of data.actions) {
    if (action.options) {
      const list = element("select", "", { ariaLabel: action.words });
      list.append(element("option", action.words, { value: "" }));
      for (const option of action.options) list.append(element("option", option.words, { value: option.value }));
      list.onchange = () => { if (list.value !== "") tell(action.do, list.value); };
      actors.push(list);
    } else {
      actors.push(element("button", action.words, { type: "button", onclick: () => tell(action.do, "") }));
    }
  }
  tools.append(...actors);
  all.onclick = () => {
    const on = chosen().length < boxes.length;
    for (const box of boxes) box.checked = on;
    draw();
  };
  grid.onclick = (event) => { // with the shift key: everything in between
    const at = boxes.indexOf(event.target);
    if (at < 0) return;
    if (event.shiftKey && last !== null) {
      for (let k = Math.min(at, last); k <= Math.max(at, last); k++) boxes[k].checked = event.target.checked;
    }
    last = at;
    draw();
  };
  draw();
}
