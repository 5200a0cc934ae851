/** Numbers: their bounds, their neighbours, their text. */

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/**
 * Index of the entry of a sorted list that is nearest to a value.
 *
 * @param {number[]} list
 * @param {number} value
 */
export function nearest(list, value) {
  let low = 0;
  let high = list.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle;
    else high = middle;
  }
  return value - list[low] <= list[high] - value ? low : high;
}

/**
 * Whether one of some spans, (first, behind the last), holds a frame.
 *
 * @param {[number, number][]} spans
 * @param {number} frame
 */
export function inside(spans, frame) {
  return spans.some(([start, end]) => start <= frame && frame < end);
}

/**
 * A time as m:ss or h:mm:ss.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return (hours ? `${hours}:${twoDigits(minutes)}` : `${minutes}`) + `:${twoDigits(whole % 60)}`;
}

/**
 * A time as m:ss.cc or h:mm:ss.cc.
 *
 * @param {number} seconds
 */
export function exactClock(seconds) {
  return `${clock(seconds)}.${twoDigits(Math.floor((seconds - Math.floor(seconds)) * 100))}`;
}

/** @param {number} value */
function twoDigits(value) {
  return String(value).padStart(2, "0");
}

/**
 * A whole number with its thousands apart.
 *
 * @param {number} value
 */
export function count(value) {
  return value.toLocaleString("en");
}

/**
 * Three digits of a number.
 *
 * @param {number} value
 */
export function short(value) {
  const size = Math.abs(value);
  const text = size >= 1e5 || (size !== 0 && size < 1e-3)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(3)));
  return text.replace(/^-/, "−");
}
