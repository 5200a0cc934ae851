/** Keys, and the buttons below the frame. */

import { get } from "./dom.js";
import { pause, togglePlay } from "./play.js";
import { choose, chooseEvent, lookAtAll, onChange, setStrength, showOverlay, state, zoom } from "./state.js";

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const KEYS = {
  ArrowLeft: (event) => choose(state.chosen - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => choose(state.chosen + (event.shiftKey ? 10 : 1)),
  Home: () => choose(0),
  End: () => choose(state.video.shown.length - 1),
  n: () => chooseEvent(1),
  p: () => chooseEvent(-1),
  o: () => showOverlay(!state.overlay),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => lookAtAll(),
  " ": () => togglePlay(),
};

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(KEYS, event.key)) return;
  const focused = event.target instanceof Element ? event.target : document.body;
  if (focused.matches("select, input[type=range]")) return; // which take arrows and space
  if (event.key === " " && focused.matches("button, select, input, summary")) return;
  event.preventDefault();
  if (event.key !== " ") pause();
  KEYS[event.key](event);
}

const zoomIn = get("zoom-in", HTMLButtonElement);
const zoomOut = get("zoom-out", HTMLButtonElement);
const zoomAll = get("zoom-all", HTMLButtonElement);
const eventBack = get("event-back", HTMLButtonElement);
const eventOn = get("event-on", HTMLButtonElement);
const overlayBox = get("overlay", HTMLInputElement);
const strengthSlider = get("strength", HTMLInputElement);

/**
 * A button that moves about, which ends playing.
 *
 * @param {HTMLButtonElement} button
 * @param {() => void} move
 */
function onMove(button, move) {
  button.addEventListener("click", () => {
    pause();
    move();
  });
}

export function startControls() {
  document.addEventListener("keydown", pressed);
  onMove(get("back", HTMLButtonElement), () => choose(state.chosen - 1));
  onMove(get("on", HTMLButtonElement), () => choose(state.chosen + 1));
  onMove(eventBack, () => chooseEvent(-1));
  onMove(eventOn, () => chooseEvent(1));
  zoomIn.addEventListener("click", () => zoom(0.5));
  zoomOut.addEventListener("click", () => zoom(2));
  zoomAll.addEventListener("click", lookAtAll);
  overlayBox.addEventListener("change", () => showOverlay(overlayBox.checked));
  strengthSlider.addEventListener("input", () => setStrength(Number(strengthSlider.value) / 100));
  onChange(["video"], () => {
    eventBack.disabled = eventOn.disabled = state.video.events.length === 0;
  });
  onChange(["view"], () => {
    zoomIn.disabled = !state.canZoomIn;
    zoomOut.disabled = zoomAll.disabled = !state.canZoomOut;
  });
  onChange(["heat"], () => {
    overlayBox.checked = state.overlay;
  });
}
