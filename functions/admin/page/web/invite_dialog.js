// The dialog that invites somebody by e-mail to say whether a person is them.

import { openDialog } from "./dialog.js";
import { button, el } from "./dom.js";
import { picture } from "./photo.js";
import * as decisions from "./review.js";
import { LANGUAGES, languageName, t } from "./words.js";

/** @import { App } from "./app.js" */

const LONGEST_MESSAGE = 500;

/**
 * @param {App} app
 * @param {string} id
 */
export function openInvite(app, id, { email = "", onDone = () => {} } = {}) {
  const person = app.review.person(id);
  if (!person) return;
  const address = el("input", {
    id: "invite-email",
    class: "input",
    type: "email",
    inputMode: "email",
    autocomplete: "off",
    required: true,
    maxLength: 254,
    value: email,
    "aria-describedby": "invite-wrong",
  });
  const wrong = el("p", { id: "invite-wrong", class: "wrong-text", role: "alert" });
  const left = el("p", { id: "invite-left", class: "quiet-text" }, t.messageHint(LONGEST_MESSAGE));
  /** @type {HTMLTextAreaElement} */
  const message = el("textarea", {
    id: "invite-message",
    class: "input",
    rows: 3,
    maxLength: LONGEST_MESSAGE,
    "aria-describedby": "invite-left",
    on: { input: () => (left.textContent = t.messageHint(LONGEST_MESSAGE - message.value.length)) },
  });
  const language = el(
    "select",
    { id: "invite-language", class: "input" },
    LANGUAGES.map((tag) => el("option", { value: tag, lang: tag }, languageName(tag))),
  );
  language.value = LANGUAGES.find((tag) => tag === app.event?.language) ?? t.language;
  const form = el(
    "form",
    { id: "invite-form", noValidate: true, class: "form" },
    el("div", { class: "invite-lead" }, picture(person.cover_url, { size: 72, eager: true }), el("p", {}, t.inviteText)),
    el("label", { class: "label", htmlFor: "invite-email" }, t.email),
    address,
    wrong,
    el("label", { class: "label", htmlFor: "invite-message" }, t.message),
    message,
    left,
    el("label", { class: "label", htmlFor: "invite-language" }, t.mailLanguage),
    language,
  );
  const send = button(t.send, null, { look: "primary", shape: "mail" });
  send.type = "submit";
  send.setAttribute("form", "invite-form");
  const dialog = openDialog({
    title: t.inviteTitle,
    look: "small",
    body: [form],
    foot: [button(t.cancel, () => dialog.close(), { look: "quiet" }), send],
    first: address,
  });
  address.addEventListener("input", () => {
    wrong.textContent = "";
    address.removeAttribute("aria-invalid");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = address.value.trim();
    if (!address.checkValidity() || !/@.+\../.test(wanted)) {
      address.setAttribute("aria-invalid", "true");
      wrong.textContent = t.emailWrong;
      address.focus();
      return;
    }
    const invitation = { email: wanted, message: message.value.trim(), language: LANGUAGES.find((tag) => tag === language.value) };
    const decision = app.decide(decisions.invite(app.review, id, invitation));
    decision.done.then(({ invitation: made }) => made?.link && showLink(app, made.link), () => {});
    dialog.close();
    onDone();
  });
}

/**
 * No mail can be sent: the organiser passes the link on.
 * @param {App} app
 * @param {string} link
 */
function showLink(app, link) {
  const field = el("input", { class: "input", readOnly: true, value: link, "aria-label": t.linkTitle });
  const copy = button(
    t.copy,
    async () => {
      field.select();
      await navigator.clipboard?.writeText(link).catch(() => {});
      app.toasts.tell(t.copied);
    },
    { look: "primary" },
  );
  openDialog({ title: t.linkTitle, look: "small", body: [el("p", {}, t.linkText), field], foot: [copy], first: copy });
}
