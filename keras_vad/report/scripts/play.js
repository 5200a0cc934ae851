/** Playing: one frame after the other. */

import { get } from "./dom.js";
import { clamp } from "./numbers.js";
import { choose, onChange, state } from "./state.js";

/** @type {number | undefined} */
let timer;

const playButton = get("play", HTMLButtonElement);

export function isPlaying() {
  return timer !== undefined;
}

export function pause() {
  clearTimeout(timer);
  timer = undefined;
  playButton.textContent = "▶";
  playButton.setAttribute("aria-label", "play");
}

function play() {
  if (atEnd()) choose(0);
  playButton.textContent = "❚❚";
  playButton.setAttribute("aria-label", "pause");
  timer = setTimeout(advance, 0);
}

function advance() {
  if (atEnd()) return pause();
  choose(state.chosen + 1);
  const { shown, fps } = state.video;
  const next = shown[Math.min(state.chosen + 1, shown.length - 1)];
  // In real time where all frames are here; where some were left out, not slower than five a second.
  const seconds = (next - shown[state.chosen]) / (fps || 25);
  timer = setTimeout(advance, clamp(1000 * seconds, 20, 200));
}

function atEnd() {
  return state.chosen >= state.video.shown.length - 1;
}

export function togglePlay() {
  if (isPlaying()) pause();
  else play();
}

export function startPlay() {
  playButton.addEventListener("click", togglePlay);
  onChange(["video"], pause);
}
