// White strokes on black; after each stroke the square goes to Python once, shrunk to side x side gray bytes.
const pads = new WeakMap();

class Pad {
  constructor(host) {
    this.canvas = host.querySelector("canvas");
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.pen.lineCap = this.pen.lineJoin = "round";
    this.pen.strokeStyle = "#fff";
    this.pen.lineWidth = this.canvas.width / 10; // about the pen of the people who wrote the digits
    this.last = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = this.place(event);
      this.line(this.last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.last) for (const part of event.getCoalescedEvents?.() ?? [event]) this.line(this.place(part));
    });
    const lift = () => { if (this.last) { this.last = null; this.send(); } };
    this.canvas.addEventListener("pointerup", lift);
    this.canvas.addEventListener("pointercancel", lift);
    host.querySelector("button").addEventListener("click", () => {
      this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.report("");
    });
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  line(to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.last);
    this.pen.lineTo(...to);
    this.pen.stroke();
    this.last = to;
  }

  send() {
    const { width } = this.canvas;
    const from = this.pen.getImageData(0, 0, width, width).data;
    const step = width / this.side;
    let bytes = "";
    for (let row = 0; row < this.side; row++) {
      for (let column = 0; column < this.side; column++) {
        let sum = 0; // every pixel's ink is its opacity: the canvas itself is transparent
        for (let y = row * step; y < (row + 1) * step; y++)
          for (let x = column * step; x < (column + 1) * step; x++) sum += from[4 * (y * width + x) + 3];
        bytes += String.fromCharCode(Math.round(sum / (step * step)));
      }
    }
    this.report(btoa(bytes));
  }
}

export default function ({ parentElement, data, setStateValue }) {
  let pad = pads.get(parentElement);
  if (!pad) pads.set(parentElement, (pad = new Pad(parentElement)));
  pad.canvas.setAttribute("aria-label", data.label);
  pad.side = data.side;
  pad.report = (ink) => setStateValue("ink", ink);
}
