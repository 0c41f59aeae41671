// The invitation page: shows the faces, asks the guest, and sends the answer. Opening it changes nothing.

import { button, el } from "./dom.js";
import { picture } from "./photo.js";
import { speak, t, textFor } from "./words.js";

/** @import { Invitation, InvitationAnswer, Problem } from "../types" */
/** @import { TitleAndText } from "../../../../shared/languages/words" */

const place = /** @type {HTMLElement} */ (document.getElementById("content"));
// Sent with the answer, so that a repeated answer counts once. Only pages with HTTPS have crypto.randomUUID.
const key = globalThis.crypto?.randomUUID?.();

/** @param {Node[]} children */
function show(...children) {
  place.replaceChildren(...children);
  place.removeAttribute("aria-busy");
  const heading = place.querySelector("h1");
  if (heading) {
    document.title = heading.textContent;
    heading.focus();
  }
}

/** @param {string} text */
function heading(text) {
  return el("h1", { textContent: text, tabIndex: -1 });
}

/**
 * @param {TitleAndText} texts
 * @param {() => unknown} [again]
 */
function tell([title, text], again) {
  const retry = again ? [button(t.invitation.retry, again, { look: "primary" })] : [];
  show(heading(title), el("p", { textContent: text }), ...retry);
}

/**
 * @param {RequestInit} [options]
 * @returns {Promise<{ ok: true, body: unknown } | { ok: false, body: Problem }>}
 */
async function ask(options = {}) {
  const response = await fetch(location.pathname, {
    ...options,
    cache: "no-store",
    headers: { Accept: "application/json", ...options.headers },
  });
  return { ok: response.ok, body: await response.json() };
}

/**
 * @param {Problem} problem
 * @param {() => unknown} again
 */
function tellProblem(problem, again) {
  const { answered, expired, withdrawn, not_found, sign_in, failed } = t.invitation;
  const known = textFor({ answered, expired, withdrawn, not_found, sign_in }, problem.code);
  if (known) tell(known);
  else tell(failed, again);
}

/**
 * @param {string} given
 * @param {HTMLButtonElement[]} buttons
 */
async function answer(given, buttons) {
  for (const button of buttons) button.disabled = true;
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (key) headers["Idempotency-Key"] = `${given}-${key}`;
  try {
    const { ok, body } = await ask({ method: "POST", headers, body: JSON.stringify({ answer: given }) });
    if (ok) {
      tell(t.invitation[/** @type {InvitationAnswer} */ (body).answer]);
    } else {
      tellProblem(body, load);
    }
  } catch {
    tell(t.invitation.failed, load);
  }
}

/** @param {Invitation} invitation */
async function showInvitation(invitation) {
  await speak(invitation.language);
  const texts = t.invitation;
  const faces = invitation.faces.map((face, index) =>
    el(
      "li",
      {},
      picture(face.thumbnail_url, { alt: texts.face(index + 1, invitation.faces.length), eager: index < 8 }),
    ),
  );
  const yes = button(texts.yes, () => answer("accept", [yes, no]), { look: "primary large", shape: "check" });
  const no = button(texts.no, () => answer("decline", [yes, no]), { look: "outline large", shape: "close" });
  // The link expires at midnight: the day before is the last valid one.
  const last = new Date(new Date(invitation.expires_at).getTime() - 1000);
  const day = new Intl.DateTimeFormat(t.language, { dateStyle: "long", timeZone: "UTC" }).format(last);
  show(
    heading(texts.title(invitation.event)),
    el("p", { class: "quiet-text", textContent: texts.photos(invitation.photos) }),
    el("ul", { class: "faces" }, ...faces),
    el("p", { textContent: texts.what }),
    el("div", { class: "answers" }, yes, no),
    el("p", { class: "quiet-text", textContent: texts.until(day) }),
  );
}

async function load() {
  place.setAttribute("aria-busy", "true");
  place.replaceChildren(el("p", { textContent: t.invitation.loading }));
  try {
    const { ok, body } = await ask();
    if (ok) {
      await showInvitation(/** @type {Invitation} */ (body));
    } else {
      tellProblem(body, load);
    }
  } catch {
    tell(t.invitation.failed, load);
  }
}

load();
