/** What is looked at: a video, one of its frames, a stretch of its timeline. Only this module changes it. */

import { data } from "./data.js";
import { clamp, nearest } from "./numbers.js";

/**
 * What listeners can wait for: another video is open; the timeline spans something else; another frame is to be seen;
 * the heat map is on, off, weaker or stronger; the screen has another size or other colours.
 *
 * @typedef {"video" | "view" | "frame" | "heat" | "screen"} Change
 */

const NARROWEST = 50; // frames that the timeline spans at least

const current = {
  /** Of the video. */
  number: 0,
  video: data.videos[0],
  /** Index in `video.shown` of the frame that was chosen. */
  chosen: 0,
  /** Index of the one that the pointer is at, while it is over the timeline. @type {number | null} */
  pointed: null,
  /** First and last frame of the timeline. @type {[number, number]} */
  view: [0, 1],
  canZoomIn: false,
  canZoomOut: false,
  overlay: data.heat !== null,
  /** Opacity of the heat map, up to 1. */
  strength: 1,
};

/** To be read. @type {Readonly<typeof current>} */
export const state = current;

/** @type {Record<Change, (() => void)[]>} */
const listeners = { video: [], view: [], frame: [], heat: [], screen: [] };

/**
 * Call a function after every change of these kinds.
 *
 * @param {Change[]} changes
 * @param {() => void} listener
 */
export function onChange(changes, listener) {
  for (const change of changes) listeners[change].push(listener);
}

/** @param {Change} change */
function tell(change) {
  for (const listener of listeners[change]) listener();
}

/** Index in `video.shown` of the frame that is to be seen. */
export function seen() {
  return current.pointed ?? current.chosen;
}

/**
 * Open a video at its strongest event.
 *
 * @param {number} number Wraps around at both ends.
 */
export function openVideo(number) {
  current.number = (number + data.videos.length) % data.videos.length;
  current.video = data.videos[current.number];
  const { events, shown } = current.video;
  const strongest = Math.max(...events.map((event) => event.score));
  const peak = events.find((event) => event.score === strongest)?.peak ?? 0;
  current.chosen = nearest(shown, peak);
  current.pointed = null;
  tell("video");
  lookAtAll();
  tell("frame");
}

/**
 * Choose a frame, and move the timeline to where it can be seen.
 *
 * @param {number} index In `video.shown`; beyond its ends, the first or last.
 */
export function choose(index) {
  const { shown } = current.video;
  current.chosen = clamp(index, 0, shown.length - 1);
  current.pointed = null;
  const frame = shown[current.chosen];
  const [first, last] = current.view;
  if (frame < first || frame > last) look(frame - (last - first) / 2, last - first);
  tell("frame");
}

/** @param {number} frame Its number; the nearest one that the report holds is chosen. */
export function chooseFrame(frame) {
  choose(nearest(current.video.shown, frame));
}

/** @param {1 | -1} direction To the next or previous event, if there is one. */
export function chooseEvent(direction) {
  const { events, shown } = current.video;
  const frame = shown[current.chosen];
  const peaks = events.map((event) => shown[nearest(shown, event.peak)]);
  const next = direction > 0 ? peaks.find((peak) => peak > frame) : peaks.findLast((peak) => peak < frame);
  if (next !== undefined) chooseFrame(next);
}

/**
 * See a frame without choosing it, or with `null` the chosen one again.
 *
 * @param {number | null} index In `video.shown`.
 */
export function point(index) {
  if (index === current.pointed) return;
  current.pointed = index;
  tell("frame");
}

/**
 * Let the timeline span a stretch, as far as the video and the narrowest stretch allow.
 *
 * @param {number} start First frame.
 * @param {number} span
 */
function look(start, span) {
  const whole = Math.max(current.video.length - 1, 1);
  const narrowest = Math.min(NARROWEST, whole);
  const wide = clamp(span, narrowest, whole);
  const from = clamp(start, 0, whole - wide);
  current.view = [from, from + wide];
  current.canZoomIn = wide > narrowest;
  current.canZoomOut = wide < whole;
  tell("view");
}

/** Let the timeline span the whole video. */
export function lookAtAll() {
  look(0, Infinity);
}

/**
 * Let the timeline span a multiple of what it does; the chosen frame stays where it is.
 *
 * @param {number} factor
 */
export function zoom(factor) {
  const [first, last] = current.view;
  const frame = current.video.shown[current.chosen];
  const share = clamp((frame - first) / (last - first), 0, 1);
  const span = (last - first) * factor;
  look(frame - share * span, span);
}

/** @param {boolean} on Without maps the heat map stays off. */
export function showOverlay(on) {
  current.overlay = on && data.heat !== null;
  tell("heat");
}

/** @param {number} strength Opacity, up to 1. */
export function setStrength(strength) {
  current.strength = strength;
  tell("heat");
}

/** To be called when the size of the page or its colours have changed. */
export function redraw() {
  tell("screen");
}
