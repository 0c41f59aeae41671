// The session. The token arrives in the URL's fragment, which no server or log sees, and is removed from it at once.

const KEY = "trombi.token";
const CHANNEL = "trombi.session";
const PATIENCE = 250;

/** @type {string | null} */
let token = null;

/** Store the token of the URL, if there is one. */
function takeFromAddress() {
  const found = /[#&]token=([^&]+)/.exec(location.hash);
  if (!found) return false;
  token = decodeURIComponent(found[1]);
  sessionStorage.setItem(KEY, token);
  const rest = location.hash.replace(/[#&]token=[^&]+/, "");
  history.replaceState(null, "", location.pathname + location.search + (rest.length > 1 ? rest : ""));
  return true;
}

/**
 * Get the token from another tab of this site, so that "open in a new tab" stays signed in.
 * @returns {Promise<string | null>}
 */
function askOtherTabs() {
  if (!("BroadcastChannel" in globalThis)) return Promise.resolve(null);
  const channel = new BroadcastChannel(CHANNEL);
  return new Promise((answer) => {
    /** @param {string | null} found */
    const end = (found) => {
      channel.close();
      answer(found);
    };
    const timer = setTimeout(end, PATIENCE, null);
    channel.onmessage = ({ data }) => {
      if (typeof data?.token !== "string") return;
      clearTimeout(timer);
      end(data.token);
    };
    channel.postMessage("who?");
  });
}

function answerOtherTabs() {
  if (!("BroadcastChannel" in globalThis)) return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (data === "who?" && token) channel.postMessage({ token });
  };
}

/**
 * Find the token; `onNew` is called when a later URL contains another one.
 * @param {() => void} onNew
 */
export async function signIn(onNew) {
  if (!takeFromAddress()) token = sessionStorage.getItem(KEY) ?? (await askOtherTabs());
  if (token) sessionStorage.setItem(KEY, token);
  answerOtherTabs();
  addEventListener("hashchange", () => {
    if (takeFromAddress()) onNew();
  });
  return token !== null;
}

/** Forget the token. */
export function signOut() {
  token = null;
  sessionStorage.removeItem(KEY);
}

/** @returns {Record<string, string>} */
export function bearer() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * The signed-in user's id from the token: for words like "you"; it grants nothing.
 * @returns {string | null}
 */
export function userId() {
  try {
    return JSON.parse(atob((token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub ?? null;
  } catch {
    return null;
  }
}
