// Whether faces are looked for at all: how that stands, the text that is agreed to, and what switching it off erases.

import { get, newKey, put } from "./api.js";
import { TEXT, VERSION } from "./consent_text.js";
import { confirm, openDialog } from "./dialog.js";
import { button, el } from "./dom.js";
import { day, t } from "./words.js";

/** Show how it stands, and offer the other way. */
export async function openConsent(app) {
  const asked = await app.attempt(async () => {
    app.event = await get(`/event/${app.eventId}`);
  });
  if (!asked) return;
  if (app.event.consent.enabled) openOn(app);
  else openOff(app);
}

const paragraphs = (language) => TEXT[language].map((text) => el("p", {}, text));

/** The text, and the button that agrees to it. */
function openOff(app) {
  const go = button(t.consent.agree, () => change(app, dialog, { enabled: true, text_version: `${VERSION}-${t.language}` }), {
    look: "primary",
  });
  const dialog = openDialog({
    title: t.consent.turnOnTitle,
    look: "consent",
    body: [...paragraphs(t.language), el("p", { class: "quiet-text" }, t.consent.version(`${VERSION}-${t.language}`))],
    foot: [button(t.cancel, () => dialog.close(), { look: "quiet" }), go],
  });
}

/** Since when, under which text, and the way out. */
function openOn(app) {
  const { text_version: version, consented_at: since } = app.event.consent;
  const [ours, language] = [version.slice(0, VERSION.length), version.slice(VERSION.length + 1)];
  const isOurs = ours === VERSION && language in TEXT;
  const dialog = openDialog({
    title: t.consent.title,
    look: "consent",
    body: [
      el("p", {}, el("strong", {}, t.consent.isOn(day(since)))),
      el("p", {}, t.consent.agreedTo(version)),
      isOurs
        ? el("details", {}, el("summary", {}, t.consent.readText), el("div", { lang: language, class: "consent-text" }, paragraphs(language)))
        : el("p", { class: "quiet-text" }, t.consent.otherText),
    ],
    foot: [
      button(t.consent.turnOff, () => turnOff(app, dialog), { look: "danger-quiet" }),
      button(t.close, () => dialog.close(), { look: "quiet" }),
    ],
  });
}

async function turnOff(app, dialog) {
  const texts = t.consent.offTexts(app.event.counts.faces);
  const sure = await confirm({ title: t.consent.offTitle, texts, yes: t.consent.offConfirm, dangerous: true });
  if (sure) await change(app, dialog, { enabled: false });
}

async function change(app, dialog, body) {
  const key = newKey();
  const done = await app.attempt(async () => {
    const { photos_asked_for: photos } = await put(`/event/${app.eventId}/consent`, body, key);
    dialog.close();
    app.toasts.tell(body.enabled ? t.consent.on(photos) : t.consent.off);
  });
  if (done) await app.load();
}
