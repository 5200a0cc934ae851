/** Curves of the component scores, each of which can be shown. */

/** @import { CurveData } from "./types.d.ts" */

import { columns, moveCursors, shade, SIDE, trace } from "./curves.js";
import { colour, get, make, surface } from "./dom.js";
import { short } from "./numbers.js";
import { onChange, state } from "./state.js";

/** Names of the components that are shown, of whatever video. @type {Set<string>} */
const openParts = new Set();

/** @type {{curve: CurveData, canvas: HTMLCanvasElement, range: HTMLElement}[]} */
let parts = [];

function listChips() {
  const chips = state.video.curves.slice(1).map((curve) => {
    const chip = make("button", "", curve.name.replaceAll("_", " "));
    chip.type = "button";
    chip.setAttribute("aria-pressed", String(openParts.has(curve.name)));
    chip.addEventListener("click", () => {
      if (!openParts.delete(curve.name)) openParts.add(curve.name);
      chip.setAttribute("aria-pressed", String(openParts.has(curve.name)));
      listParts();
      drawParts();
      moveCursors();
    });
    return chip;
  });
  get("chips", HTMLDivElement).replaceChildren(make("span", "quiet", "Component scores"), ...chips);
}

function listParts() {
  const curves = state.video.curves.slice(1).filter((curve) => openParts.has(curve.name));
  parts = curves.map((curve) => ({ curve, canvas: make("canvas"), range: make("span", "range") }));
  const boxes = parts.map(({ curve, canvas, range }) => {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `curve of ${curve.name}`);
    const head = make("p");
    head.append(make("span", "", curve.name.replaceAll("_", " ")), range);
    const box = make("div", "part");
    box.dataset.name = curve.name;
    box.append(head, canvas, make("div", "cursor"));
    return box;
  });
  get("parts", HTMLDivElement).replaceChildren(...boxes);
}

function drawParts() {
  for (const { curve, canvas, range } of parts) {
    const { pen, width, height } = surface(canvas);
    const highest = curve.high.reduce((a, b) => Math.max(a, b));
    const lowest = (curve.low ?? curve.high).reduce((a, b) => Math.min(a, b));
    range.textContent = `${short(lowest)} to ${short(highest)}`;
    if (state.video.truth) {
      pen.fillStyle = colour("truth");
      shade(pen, state.video.truth, width, height, 0);
    }
    pen.beginPath();
    pen.rect(SIDE, 0, width - 2 * SIDE, height);
    pen.clip();
    trace(
      pen,
      columns(curve, width),
      (value) => height - 4 - ((value - lowest) / (highest - lowest || 1)) * (height - 8),
    );
    pen.strokeStyle = colour("curve");
    pen.lineWidth = 1.4;
    pen.stroke();
    pen.strokeStyle = colour("grid");
    pen.strokeRect(SIDE + 0.5, 0.5, width - 2 * SIDE - 1, height - 1);
  }
}

export function startParts() {
  onChange(["video"], () => {
    listChips();
    listParts();
  });
  onChange(["view", "screen"], drawParts);
}
