/** The list of a video's events. */

import { picturesOf } from "./data.js";
import { get, make, markRow } from "./dom.js";
import { clock, count, nearest } from "./numbers.js";
import { chooseFrame, onChange, state } from "./state.js";

const eventRows = get("events", HTMLTableSectionElement);

// A picture is decoded when its row comes into sight.
const thumbnails = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting || !(target instanceof HTMLImageElement)) continue;
    const index = nearest(state.video.shown, Number(target.dataset.frame));
    target.src = `data:image/jpeg;base64,${picturesOf(state.number).frames[index]}`;
    thumbnails.unobserve(target);
  }
}, { rootMargin: "200px" });

/**
 * The time of a frame, or its number without a clock.
 *
 * @param {number} frame
 * @param {number | undefined} seconds
 */
function when(frame, seconds) {
  return seconds === undefined ? count(frame) : clock(seconds);
}

/**
 * @param {number} frame
 * @param {number | undefined} seconds
 */
function timeCell(frame, seconds) {
  const cell = make("td", "", when(frame, seconds));
  if (seconds !== undefined) cell.append(make("span", "quiet", count(frame)));
  return cell;
}

function listEvents() {
  thumbnails.disconnect();
  const rows = state.video.events.map((event, i) => {
    const row = make("tr");
    row.dataset.peak = String(event.peak);
    const head = make("th");
    head.scope = "row";
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-label", `event ${i + 1}: peak at frame ${event.peak}, score ${event.score.toFixed(2)}`);
    const picture = make("img", "thumb");
    picture.alt = "";
    picture.dataset.frame = String(event.peak);
    thumbnails.observe(picture);
    button.append(picture);
    head.append(button);
    const score = make("td", "number", event.score.toFixed(2));
    score.append(make("span", "quiet", `at ${when(event.peak, event.times?.[1])}`));
    row.append(head, timeCell(event.start, event.times?.[0]), timeCell(event.end - 1, event.times?.[2]), score);
    row.addEventListener("click", () => chooseFrame(event.peak));
    return row;
  });
  eventRows.replaceChildren(...rows);
  get("events-scroll", HTMLDivElement).hidden = rows.length === 0;
  get("no-events", HTMLParagraphElement).hidden = rows.length > 0;
  get("events-facts", HTMLSpanElement).textContent = rows.length ? `${rows.length} in this video` : "";
}

function markEvent() {
  const { video, chosen } = state;
  const frame = video.shown[chosen];
  [...eventRows.rows].forEach((row, i) => {
    markRow(row, video.events[i].start <= frame && frame < video.events[i].end);
  });
}

export function startEvents() {
  onChange(["video"], listEvents);
  onChange(["frame"], markEvent);
}
