// api.js — requests to the server that this page came from; a key is asked for when one is wanted.

const KEY = "f5tts-key";

export class Failure extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const stored = () => {
  try { return sessionStorage.getItem(KEY) || ""; } catch { return ""; }
};
let key = stored();
let askKey = async () => null;

/** ask() shows a dialog and gives the key, or null where there is none to be had. */
export function onKeyWanted(ask) {
  askKey = ask;
}

export const hasKey = () => key !== "";

export function setKey(to) {
  key = to;
  try {
    if (to) sessionStorage.setItem(KEY, to);
    else sessionStorage.removeItem(KEY);
  } catch { /* no storage: it is kept until the page is left */ }
}

async function failure(reply) {
  let message = `The server answered ${reply.status} ${reply.statusText}`.trim() + ".", code = "";
  try {
    const { error } = await reply.json();
    if (error?.message) message = error.message;
    code = error?.code || "";
  } catch { /* not ours: a proxy's */ }
  const wait = reply.headers.get("Retry-After");
  if (reply.status === 503 && wait) message += ` Try again in ${wait} s.`;
  return new Failure(message, reply.status, code);
}

let asking = null; // one dialog for all requests that are refused at a time

/** fetch() with the key; anything but a 2xx is thrown as a Failure. Paths are relative, so that a proxy may add a prefix. */
export async function request(path, options = {}) {
  for (;;) {
    const used = key;
    const headers = new Headers(options.headers);
    if (used) headers.set("Authorization", `Bearer ${used}`);
    let reply;
    try {
      reply = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("The server cannot be reached.", 0, "");
    }
    if (reply.ok) return reply;
    if (reply.status !== 401) throw await failure(reply);
    if (used === key) {
      asking ??= askKey(used !== "").finally(() => { asking = null; });
      const given = await asking;
      if (!given) throw await failure(reply);
      if (key === used) setKey(given);
    }
  }
}

export const getJson = async (path) => (await request(path)).json();
