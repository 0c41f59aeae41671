// Face recognition of the event: its state, the consent text, and what switching it off erases.

import { get, newKey, put, Refusal } from "./api.js";
import { confirm, openDialog } from "./dialog.js";
import { button, el } from "./dom.js";
import { day, LANGUAGES, t } from "./words.js";

/** @import { ConsentBody, Dialog, EventState } from "../types" */
/** @import { App } from "./app.js" */

/**
 * Show the state, and offer to change it.
 * @param {App} app
 */
export async function openConsent(app) {
  await app.attempt(async () => {
    const event = await get(`/event/${app.eventId}`);
    app.event = event;
    if (event.consent.enabled) await openOn(app, event);
    else await openOff(app);
  });
}

/**
 * The consent text in a language, and its version.
 * @param {string} language
 * @returns {Promise<{ VERSION: string, TEXT: readonly string[] }>}
 */
async function textIn(language) {
  try {
    return await import(`./consent.${language}.js`);
  } catch {
    throw new Refusal(0, "offline");
  }
}

/** @param {readonly string[]} texts */
const paragraphs = (texts) => texts.map((text) => el("p", {}, text));

/**
 * The consent text, and the button that accepts it.
 * @param {App} app
 */
async function openOff(app) {
  const { TEXT, VERSION } = await textIn(t.language);
  const go = button(t.consent.agree, () => change(app, dialog, { enabled: true, text_version: VERSION }), { look: "primary" });
  const dialog = openDialog({
    title: t.consent.turnOnTitle,
    look: "consent",
    body: [...paragraphs(TEXT), el("p", { class: "quiet-text" }, t.consent.version(VERSION))],
    foot: [button(t.cancel, () => dialog.close(), { look: "quiet" }), go],
  });
}

/**
 * Since when it is on, under which text, and the button that switches it off.
 * @param {App} app
 * @param {EventState} event
 */
async function openOn(app, event) {
  const { text_version: version, consented_at: since } = event.consent;
  // A version ends with the language of its text; a host app's own versions may have any form.
  const language = LANGUAGES.find((tag) => version?.endsWith(`-${tag}`));
  const ours = language ? await textIn(language) : null;
  const dialog = openDialog({
    title: t.consent.title,
    look: "consent",
    body: [
      since && el("p", {}, el("strong", {}, t.consent.isOn(day(since)))),
      el("p", {}, t.consent.agreedTo(version ?? "")),
      ours?.VERSION === version
        ? el("details", {}, el("summary", {}, t.consent.readText), el("div", { lang: language, class: "consent-text" }, paragraphs(ours.TEXT)))
        : el("p", { class: "quiet-text" }, t.consent.otherText),
    ],
    foot: [
      button(t.consent.turnOff, () => turnOff(app, dialog, event), { look: "danger-quiet" }),
      button(t.close, () => dialog.close(), { look: "quiet" }),
    ],
  });
}

/**
 * @param {App} app
 * @param {Dialog} dialog
 * @param {EventState} event
 */
async function turnOff(app, dialog, event) {
  const texts = t.consent.offTexts(event.counts?.faces ?? 0);
  const sure = await confirm({ title: t.consent.offTitle, texts, yes: t.consent.offConfirm, dangerous: true });
  if (sure) await change(app, dialog, { enabled: false });
}

/**
 * @param {App} app
 * @param {Dialog} dialog
 * @param {ConsentBody} body
 */
async function change(app, dialog, body) {
  const key = newKey();
  const done = await app.attempt(async () => {
    const { photos_asked_for: photos } = await put(`/event/${app.eventId}/consent`, body, key);
    dialog.close();
    app.toasts.tell(body.enabled ? t.consent.on(photos ?? 0) : t.consent.off);
  });
  if (done) await app.load();
}
