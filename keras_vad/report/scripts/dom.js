/** Elements of the page, and canvases as sharp as the screen is. */

/**
 * An element that the page may lack.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T | null}
 */
export function find(id, kind) {
  const element = document.getElementById(id);
  if (element !== null && !(element instanceof kind)) throw new Error(`#${id} is no ${kind.name}`);
  return element;
}

/**
 * An element that every page has.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function get(id, kind) {
  const element = find(id, kind);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * A new element.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/**
 * Mark the current row of a table, or that it is current no more.
 *
 * @param {HTMLTableRowElement} row
 * @param {boolean} current
 */
export function markRow(row, current) {
  if (current) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
}

/**
 * A variable of the style sheet.
 *
 * @param {string} name
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** @param {HTMLCanvasElement} canvas */
export function penOf(canvas) {
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("the browser cannot draw on a canvas");
  return pen;
}

/**
 * Clear a canvas and give it one dot for each of the screen's.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {{pen: CanvasRenderingContext2D, width: number, height: number}} Its size in CSS pixels, which the pen takes.
 */
export function surface(canvas) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const dots = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  const pen = penOf(canvas);
  pen.scale(dots, dots);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return { pen, width, height };
}
