// Photos with a frame around a face, and the viewer that enlarges them.

import { el, fill, icon, iconButton } from "./dom.js";
import { openDialog } from "./dialog.js";
import { t } from "./words.js";

/** @import { Box, Face } from "../types" */

/** @param {number} part */
const percent = (part) => `${(100 * part).toFixed(3)}%`;

/**
 * An image that shows visibly when it cannot be loaded.
 * @param {string | null | undefined} src
 * @param {{ size?: number, alt?: string, eager?: boolean }} [options]
 */
export function picture(src, { size = 160, alt = "", eager = false } = {}) {
  const img = el("img", {
    class: "picture",
    alt,
    width: size,
    height: size,
    decoding: "async",
    loading: eager ? "eager" : "lazy",
  });
  img.addEventListener("error", () => img.classList.add("broken"));
  img.addEventListener("load", () => img.classList.remove("broken"));
  if (src) img.src = src;
  else img.classList.add("broken");
  return img;
}

/**
 * @param {Pick<Face, "bbox" | "photo_url">} face
 * @param {number} width
 */
export function photoUrl(face, width) {
  return `${face.photo_url}?width=${width}`;
}

/**
 * Which part of a photo (`width` x `height` pixels) a tile of `ratio` (width / height) shows: as much of the photo as
 * fills the tile, or, with `zoom`, a part that is that many face widths wide; the face as near its middle as can be.
 * All values are fractions of the photo.
 * @param {Box} box
 * @param {number} width
 * @param {number} height
 * @param {number} ratio
 * @param {number | null} [zoom]
 */
export function part(box, width, height, ratio, zoom = null) {
  const wide = Math.min(1, (ratio * height) / width); // the whole photo would be cut to this
  const w = zoom ? Math.min(wide, Math.max(box.w * zoom, (box.h * zoom * height * ratio) / width)) : wide;
  const h = (w * width) / ratio / height;
  /** @param {number} place @param {number} size */
  const clamp = (place, size) => Math.min(Math.max(place, 0), 1 - size);
  return { x: clamp(box.x + box.w / 2 - w / 2, w), y: clamp(box.y + box.h / 2 - h / 2, h), w, h };
}

/**
 * A tile with the part of the photo around a face, and a frame around the face.
 * @param {Pick<Face, "bbox" | "photo_url">} face
 * @param {{ width?: number, ratio?: number, zoom?: number | null, alt?: string, eager?: boolean }} [options]
 */
export function framedPhoto(face, { width = 512, ratio = 1, zoom = null, alt = "", eager = false } = {}) {
  const frame = el("span", { class: "frame" });
  const img = picture(null, { size: width, alt, eager });
  img.classList.remove("broken");
  img.classList.add("framed");
  img.addEventListener("load", () => {
    const shown = part(face.bbox, img.naturalWidth, img.naturalHeight, ratio, zoom);
    img.style.width = percent(1 / shown.w);
    img.style.height = percent(1 / shown.h);
    img.style.left = percent(-shown.x / shown.w);
    img.style.top = percent(-shown.y / shown.h);
    put(frame, {
      x: (face.bbox.x - shown.x) / shown.w,
      y: (face.bbox.y - shown.y) / shown.h,
      w: face.bbox.w / shown.w,
      h: face.bbox.h / shown.h,
    });
  });
  img.src = photoUrl(face, width);
  return el("span", { class: "framed-photo" }, img, frame);
}

/**
 * @param {HTMLElement} frame
 * @param {Box} box
 */
function put(frame, box) {
  frame.style.left = percent(box.x);
  frame.style.top = percent(box.y);
  frame.style.width = percent(box.w);
  frame.style.height = percent(box.h);
  frame.classList.add("placed");
}

/**
 * Open the viewer on the photos of `faces`, starting at `index`.
 * @param {Face[]} faces
 * @param {number} index
 * @param {{ onMove?: (index: number) => void }} [options]
 */
export function openViewer(faces, index, { onMove = () => {} } = {}) {
  const stage = el("div", { class: "stage" });
  const place = el("p", { class: "place", "aria-live": "polite" });
  /** @param {number} by */
  const step = (by) => {
    index = (index + by + faces.length) % faces.length;
    show();
    onMove(index);
  };
  const previous = iconButton("back", t.previousPhoto, () => step(-1));
  const next = iconButton("next", t.nextPhoto, () => step(1));
  const dialog = openDialog({
    title: t.viewer,
    look: "viewer",
    body: [stage],
    foot: [previous, place, next],
    first: next,
  });
  dialog.element.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  });

  function show() {
    const face = faces[index];
    const frame = el("span", { class: "frame" });
    const img = picture(photoUrl(face, 1536), { size: 1536, alt: `${t.photoOf(index + 1)}. ${t.boxHint}`, eager: true });
    const sheet = el("div", { class: "sheet" }, img, frame);
    img.removeAttribute("width");
    img.removeAttribute("height");
    img.addEventListener("load", () => put(frame, face.bbox));
    fill(stage, sheet);
    place.textContent = t.position(index + 1, faces.length);
    if (faces.length > 1) new Image().src = photoUrl(faces[(index + 1) % faces.length], 1536);
  }
  show();
  return dialog;
}

/**
 * A placeholder for a person without a picture.
 * @param {string} name
 */
export function initials(name) {
  const letters = (name ?? "").split(/\s+/).filter(Boolean).slice(0, 2).map((word) => Array.from(word)[0].toUpperCase());
  return el("span", { class: "initials", "aria-hidden": "true" }, letters.length > 0 ? letters.join("") : icon("user"));
}

