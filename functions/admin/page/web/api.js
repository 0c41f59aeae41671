// Requests to the API: authenticated, with distinguishable errors, and safe to repeat.

import { bearer } from "./session.js";

/** @import { Answer, Items, PersonState, Problem } from "../types" */
/** @typedef {{ tag: string | null, page: { items: unknown[], next_cursor: string | null } }} Kept A page of a list. */

const PROBLEM = "application/problem+json";
const AGAIN = new Set([429, 502, 503, 504]);

/** The API refused, or did not answer (`status` 0). `code` is the stable error code, `body` the whole answer. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {Partial<Problem> & { current?: PersonState, linked_person?: PersonState }} [body]
   */
  constructor(status, code, body = {}) {
    super(body.detail ?? code);
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** Whether the same request may succeed later. */
  get mayPass() {
    return this.status === 0 || AGAIN.has(this.status) || this.code === "unauthenticated";
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      cache: "no-store",
      credentials: "same-origin",
      ...options,
      headers: { Accept: "application/json", ...bearer(), ...options.headers },
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "offline");
  }
  if (response.ok || response.status === 304) return response;
  /** @type {Partial<Problem>} */
  let body = {};
  if (response.headers.get("Content-Type")?.startsWith(PROBLEM)) body = await response.json().catch(() => ({}));
  throw new Refusal(response.status, body.code ?? "unexpected", body);
}

/**
 * Get a JSON answer.
 * @template {string} Path
 * @param {Path} path
 * @param {RequestInit} [options]
 * @returns {Promise<Answer<"get", Path>>}
 */
export async function get(path, options) {
  try {
    return await (await ask(path, options)).json();
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) throw new Refusal(0, "offline");
    throw error;
  }
}

/**
 * The last answer of each page of each list, by URL: an unchanged page is not sent again.
 * @type {Map<string, Map<string, Kept>>}
 */
const known = new Map();

/**
 * Get every item of a paginated list. `onPage` is called with the items so far.
 * @template {string} Path
 * @param {Path} path
 * @param {{ limit?: number, onPage?: (items: Items<Path>[], more: boolean) => void }} [options]
 */
export async function getAll(path, { limit = 200, onPage = () => {} } = {}) {
  /** @type {Items<Path>[]} */
  const items = [];
  const before = known.get(path);
  /** @type {Map<string, Kept>} */
  const now = new Map();
  /** @type {string | null} */
  let cursor = null;
  do {
    const url = new URL(path, location.origin);
    url.searchParams.set("limit", String(limit));
    if (cursor) url.searchParams.set("cursor", cursor);
    /** @type {string} */
    const address = url.pathname + url.search;
    /** @type {Kept} */
    const kept = await getUnlessKnown(address, before?.get(address));
    now.set(address, kept);
    items.push(.../** @type {Items<Path>[]} */ (kept.page.items));
    cursor = kept.page.next_cursor;
    onPage(items, cursor !== null);
  } while (cursor);
  known.set(path, now);
  return items;
}

/**
 * @param {string} address
 * @param {Kept | undefined} kept
 * @returns {Promise<Kept>}
 */
async function getUnlessKnown(address, kept) {
  const response = await ask(address, kept?.tag ? { headers: { "If-None-Match": kept.tag } } : {});
  if (kept && response.status === 304) return kept;
  try {
    return { tag: response.headers.get("ETag"), page: await response.json() };
  } catch {
    throw new Refusal(0, "offline");
  }
}

/**
 * Send a decision: `key` ensures that it takes effect once, however often it is sent.
 * @template {string} Path
 * @param {Path} path
 * @param {object} body
 * @param {string} key
 * @returns {Promise<Answer<"post", Path>>}
 */
export const post = (path, body, key) => send("POST", path, body, key);

/**
 * Change a setting; `key` as for a decision.
 * @template {string} Path
 * @param {Path} path
 * @param {object} body
 * @param {string} key
 * @returns {Promise<Answer<"put", Path>>}
 */
export const put = (path, body, key) => send("PUT", path, body, key);

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {string} key
 */
async function send(method, path, body, key) {
  const response = await ask(path, {
    method,
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(body),
  });
  return response.json().catch(() => {
    throw new Refusal(0, "offline");
  });
}

/** Let `<img>` show this user's pictures: a cookie that is valid for nothing else signs them in. */
export async function openPictures() {
  await ask("/session", { method: "POST" });
}

export async function closePictures() {
  await ask("/session", { method: "DELETE" });
}

/**
 * Receive server-sent events until the server ends them; `onEvent` is called with each event's JSON.
 * @param {string} path
 * @param {(event: unknown) => void} onEvent
 * @param {AbortSignal} signal
 */
export async function listen(path, onEvent, signal) {
  const response = await ask(path, { headers: { Accept: "text/event-stream" }, signal });
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart());
      if (data.length > 0) onEvent(JSON.parse(data.join("\n")));
    }
  }
}

/** Make a unique key; pages without HTTPS have no crypto.randomUUID. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
