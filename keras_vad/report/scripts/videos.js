/** The name of the video, and where there are several, the choice of another. */

import { find, get, markRow } from "./dom.js";
import { clock, count, short } from "./numbers.js";
import { onChange, openVideo, state } from "./state.js";

const heading = get("video-name", HTMLHeadingElement);
const select = find("video-select", HTMLSelectElement); // with its neighbours and the table, on pages of several videos
const videoRows = [...find("videos", HTMLTableElement)?.tBodies[0].rows ?? []];

function showVideo() {
  const { video, number } = state;
  heading.textContent = video.name;
  if (select) select.value = String(number);
  for (const row of videoRows) markRow(row, Number(row.dataset.video) === number);
  const length = video.fps ? `, ${clock(video.length / video.fps)} at ${short(video.fps)} a second` : "";
  const facts = [`${count(video.length)} frames${length}`];
  if (video.shown.length < video.scored) facts.push(`${count(video.shown.length)} of them in this file`);
  get("video-facts", HTMLSpanElement).textContent = facts.join("; ");
}

export function startVideos() {
  onChange(["video"], showVideo);
  if (!select) return;
  select.addEventListener("change", () => openVideo(Number(select.value)));
  get("video-back", HTMLButtonElement).addEventListener("click", () => openVideo(state.number - 1));
  get("video-on", HTMLButtonElement).addEventListener("click", () => openVideo(state.number + 1));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  for (const row of videoRows) {
    row.addEventListener("click", () => {
      openVideo(Number(row.dataset.video));
      heading.closest("section")?.scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
    });
  }
}
