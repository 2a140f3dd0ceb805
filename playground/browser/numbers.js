// Numbers as people read them, in every client-side component: playground/numbers.py's rules, said once more in JavaScript.
const MINUS = "−", THIN = "\u202f";
const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, THIN);
const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
const withThousands = (text) => text.replace(/^\d+/, grouped);

// With `digits` decimals, in a column of others.
function written(value, digits) {
  if (!Number.isFinite(value)) return numberText(value);
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return "0";
  return (value < 0 ? MINUS : "") + withThousands(text);
}

// With `digits` figures, in running text: all of them before the point, and a power of ten for what is too small.
function numberText(value, digits = 4) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "infinity" : `${MINUS}infinity`;
  if (value === 0) return "0";
  const sign = value < 0 ? MINUS : "", size = Math.abs(value);
  const magnitude = Math.floor(Math.log10(size));
  if (magnitude < -4 || magnitude > 14) {
    const [mantissa, power] = size.toExponential(Math.max(digits - 2, 0)).split("e");
    return `${sign}${trimmed(mantissa)} × 10${raised(Number(power))}`;
  }
  return sign + withThousands(trimmed(size.toFixed(Math.max(digits - 1 - magnitude, 0))));
}

// A share of 1 in percent: 100 % is all of it, 0 % nothing.
function shareText(share, digits = 1) {
  if (!Number.isFinite(share)) return numberText(share);
  const least = 10 ** -digits, text = (100 * share).toFixed(digits);
  if (Number(text) === 100) return `${share < 1 - 1e-9 ? `>${(100 - least).toFixed(digits)}` : "100"}${THIN}%`;
  if (Number(text) === 0) return `${share > 1e-9 ? `<${least.toFixed(digits)}` : "0"}${THIN}%`;
  return `${text.replace("-", MINUS)}${THIN}%`;
}

function raised(power) {
  return String(power).replace(/[-\d]/g, (letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)]);
}
