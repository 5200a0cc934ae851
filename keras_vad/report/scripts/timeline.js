/** The curve of calibrated scores with alarms, events and ground truth, and the pointer on it. */

import { columns, moveCursors, shade, SIDE, toX, trace } from "./curves.js";
import { data } from "./data.js";
import { colour, get, surface } from "./dom.js";
import { clamp, clock, count, exactClock, nearest } from "./numbers.js";
import { isPlaying, pause } from "./play.js";
import { choose, chooseFrame, onChange, point, state } from "./state.js";

const LANE = 16; // height of the lane of events, at the top
const TICKS = 22; // height of the ticks, at the bottom
const SECONDS = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]; // between ticks
const FRAMES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]; // without a frame rate

const slider = get("timeline", HTMLDivElement);
const curveCanvas = get("curve", HTMLCanvasElement);

function drawTimeline() {
  const { pen, width, height } = surface(curveCanvas);
  if (!width) return;
  const foot = height - TICKS;
  /** @param {number} level */
  const y = (level) => foot - level * (foot - LANE - 4);
  if (state.video.truth) {
    pen.fillStyle = colour("truth");
    shade(pen, state.video.truth, width, foot - LANE, LANE);
  }
  drawGrid(pen, width, y);
  drawEvents(pen, width);
  drawScores(pen, width, foot, y);
  drawBoundary(pen, width, y);
  drawTicks(pen, width, height);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} width
 * @param {(level: number) => number} y
 */
function drawGrid(pen, width, y) {
  pen.strokeStyle = colour("grid");
  pen.lineWidth = 1;
  for (const level of [0, 0.25, 0.75, 1]) {
    pen.beginPath();
    pen.moveTo(SIDE, Math.round(y(level)) + 0.5);
    pen.lineTo(width - SIDE, Math.round(y(level)) + 0.5);
    pen.stroke();
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} width
 */
function drawEvents(pen, width) {
  pen.fillStyle = colour("event");
  for (const event of state.video.events) {
    const left = clamp(toX(event.start, width), SIDE, width - SIDE);
    const right = clamp(toX(event.end, width), SIDE, width - SIDE);
    if (right <= SIDE || left >= width - SIDE) continue;
    pen.beginPath();
    pen.roundRect(left, 4, Math.max(right - left, 3), 6, 3);
    pen.fill();
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} width
 * @param {number} foot
 * @param {(level: number) => number} y
 */
function drawScores(pen, width, foot, y) {
  const points = columns(state.video.curves[0], width);
  pen.save();
  pen.beginPath();
  pen.rect(SIDE, LANE, width - 2 * SIDE, foot - LANE);
  pen.clip();
  if (points.length) {
    // What lies above the boundary is filled.
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, width, y(data.boundary));
    pen.clip();
    pen.beginPath();
    pen.moveTo(points[0][0], y(data.boundary));
    for (const [x, , high] of points) pen.lineTo(x, y(high));
    pen.lineTo(points[points.length - 1][0], y(data.boundary));
    pen.fillStyle = colour("alarm-fill");
    pen.fill();
    pen.restore();
  }
  trace(pen, points, y);
  pen.strokeStyle = colour("curve");
  pen.lineWidth = 1.6;
  pen.lineJoin = "round";
  pen.stroke();
  pen.restore();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} width
 * @param {(level: number) => number} y
 */
function drawBoundary(pen, width, y) {
  pen.strokeStyle = colour("alarm");
  pen.lineWidth = 1.4;
  pen.setLineDash([6, 4]);
  pen.beginPath();
  pen.moveTo(SIDE, y(data.boundary));
  pen.lineTo(width - SIDE, y(data.boundary));
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colour("quiet");
  pen.textBaseline = "top";
  pen.fillText("1", SIDE + 2, y(1) + 3);
  pen.textBaseline = "bottom";
  pen.fillText(String(data.boundary), SIDE + 2, y(data.boundary) - 2);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} width
 * @param {number} height
 */
function drawTicks(pen, width, height) {
  pen.textBaseline = "alphabetic";
  for (const [frame, text] of ticks(width)) {
    const x = toX(frame, width);
    pen.fillStyle = colour("control");
    pen.fillRect(Math.round(x), height - TICKS, 1, 4);
    pen.fillStyle = colour("quiet");
    const half = pen.measureText(text).width / 2;
    pen.fillText(text, clamp(x - half, 0, width - 2 * half), height - 4);
  }
}

/**
 * Frames at round times, or with round numbers where the frame rate is not known.
 *
 * @param {number} width
 * @returns {[frame: number, text: string][]}
 */
function ticks(width) {
  const { fps } = state.video;
  const [first, last] = state.view;
  const unit = fps || 1;
  const most = Math.max(2, Math.floor(width / 90));
  const steps = fps ? SECONDS : FRAMES;
  const step = steps.find((one) => (last - first) / unit / one <= most) ?? steps[steps.length - 1];
  /** @param {number} frame */
  const text = (frame) => {
    if (!fps) return count(Math.round(frame));
    const seconds = (frame + 1e-6) / fps; // not a hundredth too early
    return step < 1 ? exactClock(seconds) : clock(seconds);
  };
  /** @type {[number, string][]} */
  const found = [];
  for (let k = Math.ceil(first / unit / step); k * step * unit <= last; k++) {
    found.push([k * step * unit, text(k * step * unit)]);
  }
  return found;
}

/** @param {PointerEvent} pointer */
function frameAt(pointer) {
  const box = slider.getBoundingClientRect();
  const share = (pointer.clientX - box.left - SIDE) / (box.width - 2 * SIDE);
  const [first, last] = state.view;
  return first + clamp(share, 0, 1) * (last - first);
}

function followPointer() {
  let held = false;
  slider.addEventListener("pointerdown", (event) => {
    held = true;
    pause();
    slider.setPointerCapture(event.pointerId);
    chooseFrame(frameAt(event));
  });
  slider.addEventListener("pointermove", (event) => {
    const index = nearest(state.video.shown, frameAt(event));
    if (held) {
      if (index !== state.chosen) choose(index);
    } else if (event.pointerType === "mouse" && !isPlaying()) point(index);
  });
  const leave = () => {
    held = false;
    point(null);
  };
  slider.addEventListener("pointerup", () => {
    held = false;
  });
  slider.addEventListener("pointercancel", leave);
  slider.addEventListener("pointerleave", leave);
}

function setRange() {
  const { shown } = state.video;
  slider.setAttribute("aria-valuemin", String(shown[0]));
  slider.setAttribute("aria-valuemax", String(shown[shown.length - 1]));
}

export function startTimeline() {
  followPointer();
  onChange(["video"], setRange);
  onChange(["view", "screen"], drawTimeline);
  onChange(["view", "frame", "screen"], moveCursors);
}
