/** What Python put into the page; types.d.ts declares it. */

/** @import { PageData, PictureData } from "./types.d.ts" */

import { get } from "./dom.js";

/** @param {string} id */
function read(id) {
  return JSON.parse(get(id, HTMLScriptElement).text);
}

/** @type {PageData} */
export const data = read("data");

/** @type {Map<number, PictureData>} */
const looked = new Map();

/**
 * Frames and maps of a video, read when it is first looked at.
 *
 * @param {number} number Of the video.
 * @returns {PictureData}
 */
export function picturesOf(number) {
  const known = looked.get(number) ?? read(`pictures-${number}`);
  looked.set(number, known);
  return known;
}
