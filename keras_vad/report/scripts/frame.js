/** The frame with its heat map, and the legend of that. */

import { data, picturesOf } from "./data.js";
import { get, penOf } from "./dom.js";
import { short } from "./numbers.js";
import { onChange, seen, state } from "./state.js";

const canvas = get("frame", HTMLCanvasElement);
const heatColours = Uint8ClampedArray.from(data.heat?.colours ?? []); // 256 of red, green, blue, opacity
const tint = document.createElement("canvas"); // one dot for each place of a map
let drawing = 0; // counts frames, so that a late one does not replace its successor

function drawFrame() {
  const index = seen();
  const ticket = ++drawing;
  const { frames, maps } = picturesOf(state.number);
  const picture = new Image();
  picture.onload = () => {
    if (ticket !== drawing) return;
    canvas.width = 2 * picture.naturalWidth;
    canvas.height = 2 * picture.naturalHeight;
    const viewer = /** @type {HTMLElement} */ (canvas.closest(".viewer"));
    viewer.style.setProperty("--ratio", String(picture.naturalWidth / picture.naturalHeight));
    const pen = penOf(canvas);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (state.overlay && maps) {
      paintTint(maps.values[index], maps.rows, maps.columns);
      pen.drawImage(tint, 0, 0, canvas.width, canvas.height);
    }
    canvas.dataset.frame = String(state.video.shown[index]);
    canvas.dataset.overlay = state.overlay ? "on" : "off";
    canvas.dataset.strength = String(state.strength);
  };
  picture.src = `data:image/jpeg;base64,${frames[index]}`;
}

/**
 * @param {string} map A byte a place, as base64.
 * @param {number} rows
 * @param {number} columns
 */
function paintTint(map, rows, columns) {
  tint.width = columns;
  tint.height = rows;
  const bytes = atob(map);
  const image = new ImageData(columns, rows);
  for (let place = 0; place < rows * columns; place++) {
    const from = 4 * bytes.charCodeAt(place);
    image.data.set(heatColours.subarray(from, from + 3), 4 * place);
    image.data[4 * place + 3] = heatColours[from + 3] * state.strength;
  }
  penOf(tint).putImageData(image, 0, 0);
}

function drawLegend() {
  get("overlay-box", HTMLFieldSetElement).hidden = data.heat === null;
  if (data.heat === null) return;

  const stops = [];
  for (let i = 0; i < 256; i += 15) {
    const [red, green, blue, alpha] = heatColours.subarray(4 * i, 4 * i + 4);
    stops.push(`rgba(${red}, ${green}, ${blue}, ${(alpha / 255).toFixed(3)})`);
  }
  const scale = get("scale", HTMLSpanElement);
  scale.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  scale.title = `map values from ${short(data.heat.low)} to ${short(data.heat.high)}`;
}

export function startFrame() {
  drawLegend();
  onChange(["frame", "heat"], drawFrame);
}
