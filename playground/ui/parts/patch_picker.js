// A square to drag over a picture. While it moves only the browser knows; Python hears once, when it is let go.
const pauses = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const picker = parentElement.querySelector(".picker");
  const image = picker.querySelector("img");
  const square = picker.querySelector(".square");
  const free = { across: data.width - data.side, down: data.height - data.side };
  const at = { across: data.left, down: data.top };
  if (image.src !== data.picture) image.src = data.picture;
  image.alt = data.name;
  picker.style.aspectRatio = `${data.width} / ${data.height}`;
  picker.classList.toggle("locked", data.locked);
  const draw = () => {
    square.style.width = `${(data.side / data.width) * 100}%`;
    square.style.height = `${(data.side / data.height) * 100}%`;
    square.style.left = `${(at.across / data.width) * 100}%`;
    square.style.top = `${(at.down / data.height) * 100}%`;
  };
  const move = (across, down) => {
    at.across = Math.min(Math.max(across, 0), free.across);
    at.down = Math.min(Math.max(down, 0), free.down);
    draw();
  };
  const percent = (name) => (free[name] > 0 ? (at[name] / free[name]) * 100 : 0);
  const tell = () => setTriggerValue("moved", { across: percent("across"), down: percent("down") });
  draw();
  if (data.locked) {
    picker.onpointerdown = square.onkeydown = null;
    return;
  }

  picker.onpointerdown = (event) => {
    if (event.button) return;
    const bounds = picker.getBoundingClientRect();
    const scale = data.width / bounds.width;
    const pointer = (e) => [(e.clientX - bounds.left) * scale, (e.clientY - bounds.top) * scale];
    const [x, y] = pointer(event);
    const held = event.target === square;
    if (!held && event.pointerType === "touch") {
      picker.onclick = () => { picker.onclick = null; move(x - data.side / 2, y - data.side / 2); tell(); }; // a tap, not a scroll
      return;
    }
    if (!held) move(x - data.side / 2, y - data.side / 2);
    const grip = [x - at.across, y - at.down];
    picker.setPointerCapture(event.pointerId);
    picker.onpointermove = (e) => { const [nx, ny] = pointer(e); move(nx - grip[0], ny - grip[1]); };
    picker.onpointerup = picker.onpointercancel = () => {
      picker.onpointermove = picker.onpointerup = picker.onpointercancel = null;
      tell();
    };
  };
  square.onkeydown = (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!steps) return;
    event.preventDefault();
    move(at.across + steps[0] * Math.max(free.across / 100, 1), at.down + steps[1] * Math.max(free.down / 100, 1));
    clearTimeout(pauses.get(picker));
    pauses.set(picker, setTimeout(tell, 250)); // one rerun for a run of key presses
  };
  return () => clearTimeout(pauses.get(picker));
}
