// Requests to the API: signed, told apart by how they failed, and safe to send again.

import { bearer } from "./session.js";

const PROBLEM = "application/problem+json";
const AGAIN = new Set([429, 502, 503, 504]);

/** The API refused, or did not answer (`status` 0). `code` is its stable word, `body` all it said. */
export class Refusal extends Error {
  constructor(status, code, body = {}) {
    super(body.detail ?? code);
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** Whether the very same request may succeed later. */
  get mayPass() {
    return this.status === 0 || AGAIN.has(this.status) || this.code === "unauthenticated";
  }
}

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
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "offline");
  }
  if (response.ok || response.status === 304) return response;
  let body = {};
  if (response.headers.get("Content-Type")?.startsWith(PROBLEM)) body = await response.json().catch(() => ({}));
  throw new Refusal(response.status, body.code ?? "unexpected", body);
}

/** A JSON answer. */
export async function get(path, options) {
  try {
    return await (await ask(path, options)).json();
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) throw new Refusal(0, "offline");
    throw error;
  }
}

/** The pages of each list as they came last, by their addresses: what is the same is not sent again. */
const known = new Map();

/** Every item of a list that comes in pages. `onPage` is given the items so far. */
export async function getAll(path, { limit = 200, onPage = () => {} } = {}) {
  const items = [];
  const before = known.get(path) ?? new Map();
  const now = new Map();
  let cursor = null;
  do {
    const url = new URL(path, location.origin);
    url.searchParams.set("limit", limit);
    if (cursor) url.searchParams.set("cursor", cursor);
    const address = url.pathname + url.search;
    const kept = await getUnlessKnown(address, before.get(address));
    now.set(address, kept);
    items.push(...kept.page.items);
    cursor = kept.page.next_cursor;
    onPage(items, cursor !== null);
  } while (cursor);
  known.set(path, now);
  return items;
}

async function getUnlessKnown(address, kept) {
  const response = await ask(address, kept?.tag ? { headers: { "If-None-Match": kept.tag } } : {});
  if (response.status === 304) return kept;
  try {
    return { tag: response.headers.get("ETag"), page: await response.json() };
  } catch {
    throw new Refusal(0, "offline");
  }
}

/** A decision: `key` makes sure that it is taken once, however often it is sent. */
export const post = (path, body, key) => send("POST", path, body, key);

/** A switch; `key` as for a decision. */
export const put = (path, body, key) => send("PUT", path, body, key);

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

/** Let `<img>` show this user's pictures: they are signed in by a cookie that opens nothing else. */
export async function openPictures() {
  await ask("/session", { method: "POST" });
}

export async function closePictures() {
  await ask("/session", { method: "DELETE" });
}

/** Server-sent events until the server ends them; `onEvent` is given each one's JSON. */
export async function listen(path, onEvent, signal) {
  const response = await ask(path, { headers: { Accept: "text/event-stream" }, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart());
      if (data.length > 0) onEvent(JSON.parse(data.join("\n")));
    }
  }
}

/** A key that no other request has; pages that are not served securely have no crypto.randomUUID. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
