// How a chart's marks are written, placed and shaped.
const LETTER = 6.6; // pixels a digit of an axis is wide
const REACH = 40; // pixels from the pointer within which a point is named
const logarithmic = (axis) => axis.type === "log";
const at = (axis, value) => (logarithmic(axis) ? Math.log10(value) : value);
const barWidth = (trace) => trace.width ?? 0.8;

// Plotly's format: the few of d3 that the figures use.
function formatted(value, spec) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (spec === ",") return written(value, 0);
  const [, digits, kind] = /^\.(\d+)~?([fg])$/.exec(spec) ?? [];
  return kind === "f" ? written(value, digits) : numberText(value, kind === "g" ? Number(digits) : 6);
}

// What a template says of a point, as lines of [text, raised] parts.
function told(template, point) {
  const [said, extra] = template.replace("</extra>", "").split("<extra>");
  const filled = said.replace(/%\{(\w+)(?::([^}]*))?\}/g, (_, name, spec) => formatted(point[name], spec));
  return [...filled.split("<br>"), ...(extra ? [extra] : [])].map((line) =>
    line.split(/<sup>|<\/sup>/).map((text, k) => [text, k % 2 === 1]));
}

const dashes = (dash, width) => {
  const unit = Math.max(width, 3) * 0.8;
  const parts = { dash: [3, 3], dot: [1, 1], longdash: [5, 5], dashdot: [3, 1, 1, 1] }[dash] ?? [];
  return parts.map((part) => part * unit).join(" ");
};

// Plotly's symbols round (x, y), as a path; those of the default order by number.
const ORDER = ["circle", "square", "diamond", "cross", "x"];
function symbolAt(symbol, x, y, r) {
  const name = ORDER[symbol] ?? symbol;
  const polygon = (points) => `M${points.map(([a, b]) => `${x + a * r},${y + b * r}`).join("L")}Z`;
  const plus = [[1, 0.3], [0.3, 0.3], [0.3, 1], [-0.3, 1], [-0.3, 0.3], [-1, 0.3], [-1, -0.3], [-0.3, -0.3], [-0.3, -1], [0.3, -1], [0.3, -0.3], [1, -0.3]];
  if (name === "square") return polygon([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]);
  if (name === "diamond") return polygon([[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]]);
  if (name === "cross") return polygon(plus);
  if (name === "x") return polygon(plus.map(([a, b]) => [(a - b) * 0.75, (a + b) * 0.75]));
  if (name === "star") return polygon([...Array(10).keys()].map((k) => {
    const [turn, far] = [(k * Math.PI) / 5, k % 2 ? 0.55 : 1.4];
    return [far * Math.sin(turn), -far * Math.cos(turn)];
  }));
  const ring = `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0Z`;
  if (name !== "circle-x-open") return ring;
  const h = r * Math.SQRT1_2;
  return `${ring}M${x - h},${y - h}L${x + h},${y + h}M${x + h},${y - h}L${x - h},${y + h}`;
}

const nice = (rough) => {
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5].find((step) => step * power >= rough * 0.999) ?? 10) * power;
};
// A mark of an axis: millions are said as such, for there is little room.
const mark = (value) => {
  const [size, unit] = [[1e9, " bn"], [1e6, " M"]].find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return numberText(value / size, 6) + unit;
};

// [place, text] of the marks of an axis that is `length` pixels long.
// On an axis of counts (`whole`) there are none between two of them.
function ticks(axis, [low, high], length, apart, whole = false) {
  if (axis.tickvals) return axis.tickvals.map((value, k) => [at(axis, value), String(axis.ticktext?.[k] ?? value)]);
  const most = Math.max(2, length / apart);
  const found = [];
  if (logarithmic(axis) && high - low >= 1.5) {
    const step = Math.max(1, Math.ceil((high - low) / most));
    for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power++) {
      if (power % step) continue;
      found.push(axis.exponentformat === "power" || power < -4 ? [power, `10${raised(power)}`] : [power, mark(Number(`1e${power}`))]);
    }
    return found;
  }
  const [from, to] = logarithmic(axis) ? [10 ** low, 10 ** high] : [low, high];
  const least = logarithmic(axis) ? 0 : axis.dtick ?? (whole ? 1 : 0);
  const step = nice(Math.max(least, (to - from) / most));
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to * (1 + 1e-12) + step * 1e-9; k++) {
    const value = Number((k * step).toPrecision(12));
    found.push([at(axis, value), mark(value)]);
  }
  return found;
}

