/** The figures beside the frame. */

import { data } from "./data.js";
import { get, make } from "./dom.js";
import { clock, count, exactClock, inside, short } from "./numbers.js";
import { onChange, seen, state } from "./state.js";

/**
 * @param {string} name
 * @param {string} value
 */
function fact(name, value) {
  const row = make("div");
  row.append(make("dt", "", name), make("dd", "", value));
  return row;
}

function showReading() {
  const { video } = state;
  const index = seen();
  const frame = video.shown[index];
  const level = video.levels[index];
  const alarm = level > data.boundary;
  get("level", HTMLSpanElement).textContent = level.toFixed(2);
  const verdict = get("verdict", HTMLSpanElement);
  verdict.textContent = alarm ? "alarm" : "normal";
  verdict.classList.toggle("alarm", alarm);

  const rows = [fact("frame", `${count(frame)} of ${count(video.length)}`)];
  if (video.fps) rows.push(fact("time", `${exactClock(frame / video.fps)} of ${clock(video.length / video.fps)}`));
  if (video.truth) rows.push(fact("ground truth", inside(video.truth, frame) ? "anomalous" : "normal"));
  for (const [name, values] of Object.entries(video.values)) {
    rows.push(fact(name.replaceAll("_", " "), short(values[index])));
  }
  get("facts", HTMLDListElement).replaceChildren(...rows);

  const time = video.fps ? `, ${exactClock(frame / video.fps)}` : "";
  const words = `frame ${frame}${time}, score ${level.toFixed(2)}, ${alarm ? "alarm" : "no alarm"}`;
  const slider = get("timeline", HTMLDivElement);
  slider.setAttribute("aria-valuenow", String(frame));
  slider.setAttribute("aria-valuetext", words);
}

export function startReading() {
  onChange(["frame"], showReading);
}
