// The page's texts in the chosen language. Each language has a file of its own, and only the chosen one is loaded;
// the document lists the available languages.

/** @import { Bodies } from "../types" */
/** @import { Words } from "../../../../shared/languages/words" */

const LANGUAGE = "trombi.language";

/** @typedef {NonNullable<Bodies["InviteGuest"]["language"]>} Language */

/** The tags of all languages, as "en". */
export const LANGUAGES = /** @type {Language[]} */ ((document.documentElement.dataset.languages ?? "").split(" "));

/** The texts of the chosen language, and its tag; both are live bindings. */
export let t = await load(firstLanguage());

/**
 * @param {Language} language
 * @returns {Promise<Words & { language: Language }>}
 */
async function load(language) {
  /** @type {{ words: Words }} */
  const { words } = await import(`./words.${language}.js`);
  return { ...words, language };
}

function firstLanguage() {
  for (const wanted of [localStorage.getItem(LANGUAGE), ...navigator.languages]) {
    const found = wanted && known(wanted);
    if (found) return found;
  }
  return known("en") ?? LANGUAGES[0];
}

/**
 * The available language for `tag`: the same tag, or the tag without its region.
 * @param {string} tag
 */
function known(tag) {
  return LANGUAGES.find((language) => language === tag) ?? LANGUAGES.find((language) => language === tag.slice(0, 2).toLowerCase());
}

/**
 * Switch to `language`; with `remember`, also for later visits.
 * @param {string} language
 */
export async function speak(language, { remember = false } = {}) {
  const wanted = known(language);
  if (wanted && wanted !== t.language) t = await load(wanted);
  document.documentElement.lang = t.language;
  if (remember) localStorage.setItem(LANGUAGE, t.language);
}

/** The language that the language button switches to. */
export function otherLanguage() {
  return LANGUAGES[(LANGUAGES.indexOf(t.language) + 1) % LANGUAGES.length];
}

/**
 * The name of a language, in itself ("Français"), or in the language `by`.
 * @param {string} language
 */
export function languageName(language, by = language) {
  const name = new Intl.DisplayNames([by], { type: "language" }).of(language) ?? language;
  return by === language ? name.charAt(0).toLocaleUpperCase(language) + name.slice(1) : name;
}

/**
 * The text of `texts` for a key from the server, if there is one.
 * @template {object} T
 * @param {T} texts
 * @param {string} key
 * @returns {T[keyof T] | undefined}
 */
export function textFor(texts, key) {
  return Object.hasOwn(texts, key) ? texts[/** @type {keyof T} */ (key)] : undefined;
}

/**
 * Format a date with its time in full.
 * @param {string} iso
 */
export function day(iso) {
  return new Intl.DateTimeFormat(t.language, { dateStyle: "long", timeStyle: "short" }).format(new Date(iso));
}

/**
 * "3 minutes ago", for times of today, else the day.
 * @param {string} iso
 */
export function when(iso) {
  const seconds = (new Date(iso).getTime() - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(t.language, { numeric: "auto" });
  if (seconds > -60) return relative.format(0, "second");
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -43200) return relative.format(Math.round(seconds / 3600), "hour");
  return new Intl.DateTimeFormat(t.language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}
