// Numbers as colours, for every client-side component.
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
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.1791 ? "#ffffff" : "#000000";
}
