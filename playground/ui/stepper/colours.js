// Numbers as colours and as text, for every client-side component.
const channels = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));

// As figures/style.py: interpolated in sRGB, black or white ink by WCAG luminance.
function colourAt(scale, position) {
  const at = Math.min(Math.max(position, 0), 1);
  const right = Math.max(1, scale.findIndex(([end]) => at <= end));
  const [[a, from], [b, to]] = [scale[right - 1], scale[right]];
  const t = (at - a) / (b - a);
  const [p, q] = [channels(from), channels(to)];
  return p.map((value, k) => Math.round(value * (1 - t) + q[k] * t));
}

function inkOn(rgb) {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18 ? "#ffffff" : "#111111";
}

function written(value, digits) {
  if (value === 0) return "0";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

