/** The ROC curve of all videos, where their labels are known. */

/** @import { RocData } from "./types.d.ts" */

import { data } from "./data.js";
import { colour, find, surface } from "./dom.js";
import { onChange } from "./state.js";

/**
 * @param {HTMLCanvasElement} canvas
 * @param {RocData} roc
 */
function drawRoc(canvas, roc) {
  const { pen, width, height } = surface(canvas);
  const left = 54;
  const low = 38;
  /** @param {number} rate */
  const x = (rate) => left + rate * (width - left - 12);
  /** @param {number} rate */
  const y = (rate) => height - low - rate * (height - low - 10);
  pen.lineWidth = 1;
  pen.strokeStyle = colour("grid");
  pen.fillStyle = colour("quiet");
  for (const rate of [0, 0.25, 0.5, 0.75, 1]) {
    pen.beginPath();
    pen.moveTo(x(rate), y(0));
    pen.lineTo(x(rate), y(1));
    pen.moveTo(x(0), y(rate));
    pen.lineTo(x(1), y(rate));
    pen.stroke();
    pen.textAlign = "center";
    pen.fillText(String(rate), x(rate), y(0) + 16);
    pen.textAlign = "right";
    pen.fillText(String(rate), left - 6, y(rate) + 4);
  }
  pen.textAlign = "center";
  pen.fillText("false positive rate", (x(0) + x(1)) / 2, height - 4);
  pen.save();
  pen.translate(11, (y(0) + y(1)) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText("true positive rate", 0, 0);
  pen.restore();
  pen.setLineDash([3, 4]);
  pen.strokeStyle = colour("control");
  pen.beginPath();
  pen.moveTo(x(0), y(0));
  pen.lineTo(x(1), y(1));
  pen.stroke();
  pen.setLineDash([]);
  pen.strokeStyle = colour("curve");
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.beginPath();
  roc.fpr.forEach((rate, i) => pen.lineTo(x(rate), y(roc.tpr[i])));
  pen.stroke();
  pen.fillStyle = colour("alarm");
  pen.strokeStyle = colour("card");
  pen.beginPath();
  pen.arc(x(roc.operating[0]), y(roc.operating[1]), 6, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
}

export function startRoc() {
  const { roc } = data;
  const canvas = find("roc", HTMLCanvasElement);
  if (canvas && roc) onChange(["screen"], () => drawRoc(canvas, roc));
}
