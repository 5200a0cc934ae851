/** What the timeline and the curves of component scores share: the axis of frames, lines, bands, cursors. */

/** @import { CurveData } from "./types.d.ts" */

import { clamp, nearest } from "./numbers.js";
import { seen, state } from "./state.js";

export const SIDE = 8; // room at the left and right of curves

/**
 * @param {number} frame
 * @param {number} width Of the canvas.
 */
export function toX(frame, width) {
  const [first, last] = state.view;
  return SIDE + ((frame - first) / (last - first)) * (width - 2 * SIDE);
}

/**
 * The points of a curve that the view shows, as at most about one column a pixel.
 *
 * @param {CurveData} curve
 * @param {number} width Of the canvas.
 * @returns {[x: number, low: number, high: number][]}
 */
export function columns(curve, width) {
  const { at } = state.video;
  const [first, last] = state.view;
  /** @type {[number, number, number][]} */
  const points = [];
  for (let i = Math.max(0, nearest(at, first) - 1); i < at.length && at[i] <= last + 1 + (at[1] - at[0] || 1); i++) {
    const x = toX(at[i], width);
    const high = curve.high[i];
    const low = curve.low ? curve.low[i] : high;
    const before = points.at(-1);
    if (before && x - before[0] < 0.75) {
      before[1] = Math.min(before[1], low);
      before[2] = Math.max(before[2], high);
    } else points.push([x, low, high]);
  }
  return points;
}

/**
 * Begin a path through columns.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {[number, number, number][]} points
 * @param {(value: number) => number} y
 */
export function trace(pen, points, y) {
  pen.beginPath();
  points.forEach(([x, low, high], i) => {
    // Towards the nearer end first, so that the line does not cross itself.
    const before = i ? points[i - 1][2] : high;
    const [first, second] = Math.abs(before - high) < Math.abs(before - low) ? [high, low] : [low, high];
    pen.lineTo(x, y(first));
    if (second !== first) pen.lineTo(x, y(second));
  });
}

/**
 * Fill a band over each of some spans of frames.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {[number, number][]} spans
 * @param {number} width Of the canvas.
 * @param {number} height Of the bands.
 * @param {number} from Their upper end.
 */
export function shade(pen, spans, width, height, from) {
  const [first, last] = state.view;
  for (const [start, end] of spans) {
    if (end < first || start > last) continue;
    const left = clamp(toX(start - 0.5, width), SIDE, width - SIDE);
    const right = clamp(toX(end - 0.5, width), SIDE, width - SIDE);
    pen.fillRect(left, from, Math.max(right - left, 1), height);
  }
}

/** Move the cursors of all curves to the frame that is seen. */
export function moveCursors() {
  const frame = state.video.shown[seen()];
  const [first, last] = state.view;
  const cursors = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".cursor"));
  for (const cursor of cursors) {
    const width = cursor.parentElement?.clientWidth ?? 0;
    cursor.style.transform = `translateX(${clamp(toX(frame, width), -2, width + 2)}px)`;
    cursor.hidden = frame < first || frame > last;
  }
}
