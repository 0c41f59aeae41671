// Builds the page from elements: text is always inserted as text, never as markup.

/** @import { Child, Properties } from "../types" */
/** @typedef {Child | readonly Child[]} Children */
/** @typedef {keyof typeof SHAPES} Shape */

/**
 * An element. Properties: `class`, `data` (an object), `on` (handlers by event name), DOM properties by their name, and
 * everything else as attributes; null, undefined and false leave a property out. Children: nodes and text.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Properties} [properties]
 * @param {Children[]} children
 */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { class: className = "", data = {}, on = {}, ...others } = properties;
  if (className) made.className = className;
  Object.assign(made.dataset, data);
  for (const [type, handler] of Object.entries(on)) made.addEventListener(type, /** @type {EventListener} */ (handler));
  for (const [key, value] of Object.entries(others)) {
    if (value === null || value === undefined || value === false) continue;
    if (!key.includes("-") && key in made) Reflect.set(made, key, value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  add(made, children);
  return made;
}

/**
 * Append nodes and text; lists are flattened, null and false left out.
 * @param {Element} parent
 * @param {Children[]} children
 */
export function add(parent, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
  return parent;
}

/**
 * Replace the content of `parent` by `children`.
 * @param {Element} parent
 * @param {Children[]} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return add(parent, children);
}

/**
 * Set text only if it differs, so that screen readers announce it once.
 * @param {Node | null | undefined} node
 * @param {string} text
 */
export function write(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  back: "M15 5l-7 7 7 7",
  check: "M5 13l4 4L19 7",
  close: "M6 6l12 12M18 6L6 18",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9.5a2.5 2.5 0 100 5 2.5 2.5 0 000-5z",
  eyeOff: "M4 4l16 16M10 6c.6-.1 1.3-.2 2-.2 6 0 10 6.2 10 6.2s-1 1.8-3 3.5M6.5 7.5C3.6 9.3 2 12 2 12s4 7 10 7c1.7 0 3.2-.5 4.5-1.2",
  help: "M9 9a3 3 0 116 .3c0 2-3 2.2-3 4.2M12 17.5v.1",
  history: "M4 12a8 8 0 108-8 8 8 0 00-6.9 4H8M4 4v4h4M12 8v4.5l3 2",
  mail: "M3 6h18v12H3zM3 7l9 6 9-6",
  merge: "M6 4v3c0 4 6 4 6 8v5M18 4v3c0 4-6 4-6 8",
  more: "M5 11.5a.5.5 0 100 1 .5.5 0 000-1zM12 11.5a.5.5 0 100 1 .5.5 0 000-1zM19 11.5a.5.5 0 100 1 .5.5 0 000-1z",
  next: "M9 5l7 7-7 7",
  people: "M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.3a3.5 3.5 0 010 6.4M18 14.5c2.1.8 3.5 2.8 3.5 5.5",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14zM16.5 16.5L21 21",
  spark: "M12 3l1.8 5.2L19 10l-5.2 1.8L12 17l-1.8-5.2L5 10l5.2-1.8zM19 16l.8 2.2L22 19l-2.2.8L19 22l-.8-2.2L16 19l2.2-.8z",
  swap: "M4 8h14l-4-4M20 16H6l4 4",
  undo: "M8 5L4 9l4 4M4 9h10a6 6 0 010 12h-4",
  user: "M12 12a4 4 0 100-8 4 4 0 000 8zM4 21c0-4.4 3.6-7 8-7s8 2.6 8 7",
};

/**
 * A decorative icon, hidden from screen readers: its parent has a text label.
 * @param {Shape} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/**
 * A button with a text label; `look` is a class of the stylesheet.
 * @param {string} label
 * @param {((event: MouseEvent) => unknown) | null} onClick
 * @param {{ look?: string, shape?: Shape | null } & Properties} [options]
 */
export function button(label, onClick, { look = "", shape = null, ...properties } = {}) {
  return el(
    "button",
    { type: "button", class: `button ${look}`, ...properties, on: onClick ? { click: onClick } : {} },
    shape && icon(shape),
    el("span", {}, label),
  );
}

/**
 * A button with an icon only; `label` is its accessible name.
 * @param {Shape} shape
 * @param {string} label
 * @param {((event: MouseEvent) => unknown) | null} onClick
 * @param {Properties} [properties]
 */
export function iconButton(shape, label, onClick, properties = {}) {
  return el(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": label,
      title: label,
      ...properties,
      on: onClick ? { click: onClick } : {},
    },
    icon(shape),
  );
}

/**
 * The element that is the target of an event; null if the target is the document.
 * @param {Event} event
 */
export function targetOf({ target }) {
  return target instanceof Element ? target : null;
}

/** The offsets that keys move by in a grid with this number of columns and items, from the item `at`. */
const STEPS = {
  ArrowLeft: (/** @type {number} */ at) => at - 1,
  ArrowRight: (/** @type {number} */ at) => at + 1,
  ArrowUp: (/** @type {number} */ at, /** @type {number} */ columns) => at - columns,
  ArrowDown: (/** @type {number} */ at, /** @type {number} */ columns) => at + columns,
  Home: () => 0,
  End: (/** @type {number} */ _at, /** @type {number} */ _columns, /** @type {number} */ count) => count - 1,
};

/**
 * The item that a key moves to in a list whose items, found by `selector`, are laid out in rows; null if none.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} list
 * @param {string} selector
 */
export function stepTo(event, list, selector) {
  const items = /** @type {HTMLElement[]} */ ([...list.children]);
  const at = items.indexOf(/** @type {HTMLElement} */ (targetOf(event)?.closest(selector)));
  const step = Object.hasOwn(STEPS, event.key) ? STEPS[/** @type {keyof typeof STEPS} */ (event.key)] : null;
  if (at < 0 || step === null) return null;
  const beyond = items.findIndex((item) => item.offsetTop > items[0].offsetTop);
  const to = step(at, beyond < 0 ? items.length : beyond, items.length);
  return to < 0 || to >= items.length ? null : { at, to, item: items[to] };
}

/**
 * Whether a typed letter is text input rather than a shortcut.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  return target instanceof Element && target.closest("input:not([type=checkbox], [type=radio]), textarea, select") !== null;
}

/**
 * Let the browser paint and handle input before continuing.
 * @returns {Promise<void>}
 */
export function breathe() {
  const { scheduler } = /** @type {{ scheduler?: { yield?: () => Promise<void> } }} */ (globalThis);
  return scheduler?.yield ? scheduler.yield() : new Promise((done) => setTimeout(done));
}
