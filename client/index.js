// Counterfoil in a browser: sign in, and send requests that carry the session, in any number of tabs.
// docs/browser-client.md says what each function does, also in each failure.

/**
 * @import { Challenge, Client, Issued, Options, Problem, Session } from "./index.js"
 * @typedef {{ at: number, sent: number, session: Session | null | undefined, left: number, token?: string, refresh?: string, nonce?: string, why?: "signed-out" | "revoked" }} State
 * @typedef {State | { ask: true } | { busy: true } | { failed: Problem | null }} Message
 */

const urn = "urn:counterfoil:problem:";
const problemType = "application/problem+json";
const attempts = 3; // of one refresh, and of a request that meets an outage
const patience = 3000; // ms until a tab that holds the lock and says nothing counts as frozen
const timeout = 10000; // ms for one request to the issuer
const longest = 10; // seconds of Retry-After that are waited for

/** An answer of the issuer that is not what was asked for (RFC 9457). */
export class ProblemError extends Error {
  /** @param {Problem | null} problem @param {Response} [response] */
  constructor(problem, response) {
    super(problem?.title ?? `the issuer answers ${response?.status ?? "nothing"}`);
    this.name = "ProblemError";
    this.problem = problem;
    this.response = response;
  }
}

/** @param {Response} response @returns {Promise<Problem | null>} */
const problemOf = async (response) => response.headers.get("Content-Type") === problemType ? response.clone().json().catch(() => null) : null;

/** What another tab was told. @param {Problem | null} problem */
const failure = (problem) => problem
  ? new ProblemError(problem, new Response(JSON.stringify(problem), { status: problem.status, headers: { "Content-Type": problemType } }))
  : new TypeError("the issuer cannot be reached");

/** @param {Problem | null | undefined} problem @param {string[]} slugs */
const is = (problem, ...slugs) => slugs.some((slug) => problem?.type === urn + slug);

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
const sleep = (ms, signal) => unless(signal, new Promise((done) => { setTimeout(done, ms); }));

/** Waits for a promise that others may wait for too. @template T @param {AbortSignal | undefined} signal @param {Promise<T>} promise @returns {Promise<T>} */
function unless(signal, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Storage for a lease; undefined: the browser forbids it. */
function leases() {
  try {
    return globalThis.localStorage;
  } catch {}
}

/** Milliseconds until an outage is asked again; undefined: too long. @param {Response} response */
function pause(response) {
  const seconds = Number(response.headers.get("retry-after") ?? 1);
  return seconds >= 0 && seconds <= longest ? Math.max(seconds, 0.1) * 1000 : undefined;
}

/** @param {Options} options @returns {Client} */
export function createClient({ issuer, client, carrier = "cookie", origins = [] }) {
  const base = issuer.replace(/\/+$/, "");
  const home = new URL(base).origin;
  const named = new Set([base, ...origins].map((url) => new URL(url).origin));
  if (named.has("null")) throw new TypeError("issuer and origins are URLs of http or https");
  const inHeader = carrier === "bearer" || carrier === "jwe"; // else a cookie has the access copy,
  const paired = carrier.endsWith("-cookie"); // and here another one the refresh token
  const name = `counterfoil 1 ${base} ${client ?? ""} ${carrier}`;
  const channel = globalThis.BroadcastChannel && new BroadcastChannel(name);
  const locks = globalThis.navigator?.locks;
  const storage = leases();

  // Of all tabs: who is signed in (null: nobody, undefined: not known), and for how many ms after born the copy
  // is good. A state replaces one with a smaller at. The refresh token is here only if the browser keeps no
  // cookie for this page.
  /** @type {State} */
  let state = { at: 0, sent: 0, session: undefined, left: Infinity };
  let born = [0, 0]; // on a clock that some systems stop in sleep, and on one that can be set
  /** @type {string | undefined} */
  let csrf;
  /** @type {Promise<void> | undefined} */
  let renewing;
  /** @type {Set<(failed?: Error) => void>} */
  const waiting = new Set();
  /** @type {Map<string, Set<(detail: any) => void>>} */
  const listeners = new Map();

  const clocks = () => [performance.now(), Date.now()];
  const age = () => Math.max(...clocks().map((now, n) => now - born[n]));
  const due = () => (state.session ? age() > state.left * 0.9 : inHeader && state.session === undefined);
  /** @param {Message} message */
  const say = (message) => channel?.postMessage(message);
  /** @param {string} event @param {unknown} [detail] */
  const emit = (event, detail) => listeners.get(event)?.forEach((listener) => { Promise.resolve(detail).then(listener); });

  /** @param {State} next */
  function adopt(next) {
    const who = () => state.session && JSON.stringify({ ...state.session, expires: "" });
    const before = who();
    if (state.session?.id !== next.session?.id) csrf = undefined;
    state = next;
    const old = Math.max(0, Date.now() - state.sent);
    born = clocks().map((now) => now - old);
    if (who() !== before) emit("change", state.session);
    if (state.why && before && !state.session) emit(state.why);
    waiting.forEach((look) => look());
  }

  /** @param {Session | null} session @param {Partial<State>} [more] */
  function become(session, more) {
    adopt({ session, left: Infinity, ...more, at: Math.max(Date.now(), state.at + 1), sent: Date.now() });
    say(state);
  }

  const rest = () => ({ ...state, left: state.left - age(), sent: Date.now() });

  if (channel) channel.onmessage = (/** @type {MessageEvent<Message>} */ { data }) => {
    if ("at" in data) data.at > state.at && adopt(data);
    else if ("ask" in data) state.at && !due() && say(rest());
    else waiting.forEach((look) => look("failed" in data ? failure(data.failed) : undefined));
  };

  // One tab at a time.

  /** Does work while no other tab does, unless it is moot by then. @param {(queued: boolean) => Promise<any>} work @param {() => boolean} [moot] */
  async function alone(work, moot = () => false) {
    const turn = await (locks ? lock(moot) : lease(moot));
    if (!turn) return;
    const alive = () => say({ busy: true });
    const beat = setInterval(alive, 1000);
    alive();
    try {
      return await work(turn.queued);
    } finally {
      clearInterval(beat);
      turn.release();
    }
  }

  /** @typedef {{ queued: boolean, release: () => void } | undefined} Turn */
  /** @param {() => boolean} moot @returns {Promise<Turn>} */
  function lock(moot) {
    return new Promise((resolve, reject) => {
      const queue = new AbortController();
      let over = false, queued = false;
      /** @type {ReturnType<typeof setTimeout>} */
      let timer;
      const stop = () => {
        over = true;
        clearTimeout(timer);
        waiting.delete(look);
      };
      const hold = () => over ? undefined : new Promise((release) => {
        stop();
        resolve({ queued, release: () => release(undefined) });
      });
      // The holder may be frozen. It runs to its end all the same, and the server answers both.
      const steal = () => {
        queue.abort();
        locks.request(name, { steal: true }, hold).catch(() => {});
      };
      /** @param {Error} [failed] */
      const look = (failed) => {
        clearTimeout(timer);
        if (failed || moot()) {
          stop();
          queue.abort();
          failed ? reject(failed) : resolve(undefined);
        } else timer = setTimeout(steal, patience * (1 + Math.random() / 2)); // not all at once
      };
      const join = () => {
        queued = true;
        waiting.add(look);
        look();
        return locks.request(name, { signal: queue.signal }, hold);
      };
      locks.request(name, { ifAvailable: true }, (free) => free ? hold() : void join().catch(() => {})).catch(hold);
    });
  }

  /** Where there are no locks. Two tabs may both get it, which the server's grace makes harmless. @param {() => boolean} moot @returns {Promise<Turn>} */
  async function lease(moot) {
    const me = Math.random().toString(36);
    if (!storage) return { queued: false, release: () => {} };
    for (let queued = false; !moot(); queued = true) {
      const until = parseInt(storage.getItem(name) ?? "") - Date.now();
      if (!(until > 0 && until <= patience)) {
        storage.setItem(name, `${Date.now() + patience} ${me}`);
        await sleep(20 + Math.random() * 20); // others have written by now
        if (storage.getItem(name)?.endsWith(me)) return { queued, release: () => storage.removeItem(name) };
      }
      await sleep(30);
    }
  }

  // The issuer.

  /** @param {string} path @param {object} [body] @param {RequestInit & { anonymous?: boolean }} [init] */
  function post(path, body, { anonymous, ...init } = {}) {
    const headers = new Headers(body && { "Content-Type": "application/json" });
    if (inHeader) headers.set("Counterfoil-Refresh", "cookie");
    if (state.token && !anonymous) headers.set("Authorization", "Bearer " + state.token);
    if (csrf && !anonymous) headers.set("X-CSRF-Token", csrf);
    return ask(path, { method: "POST", headers, body: body && JSON.stringify(body), ...init });
  }

  /** @param {string} path @param {RequestInit} [init] */
  const ask = (path, init) => fetch(base + path, { credentials: "include", redirect: "error", ...init, signal: init?.signal ?? AbortSignal.timeout(timeout) });

  /** Replaces a copy that is refused or about to expire, once for all tabs. @param {number} seen the state that it belongs to @param {Problem | null} [refused] */
  function renew(seen, refused) {
    if (state.at !== seen) return Promise.resolve();
    renewing ??= alone((queued) => refresh(seen, queued, refused), () => state.at !== seen).finally(() => { renewing = undefined; });
    return renewing;
  }

  /** @param {number} seen @param {boolean} queued @param {Problem | null} [refused] */
  async function refresh(seen, queued, refused) {
    if (channel && (queued || inHeader && state.session === undefined)) { // another tab may have a copy, and its message be slower than the lock
      say({ ask: true });
      await new Promise((done) => {
        const look = () => done(waiting.delete(look));
        waiting.add(look);
        setTimeout(look, 100);
      });
    }
    for (let attempt = 1; state.at === seen; attempt++) {
      const began = performance.now();
      try {
        const response = await (carrier === "cookie" ? ask("/v1/session") : post("/v1/refresh", { client, refresh_token: state.refresh, refresh_nonce: state.nonce }, { anonymous: true }));
        const answer = response.ok ? await response.json() : await problemOf(response);
        if (state.at !== seen) return; // somebody signed in or out meanwhile
        if (response.ok) return carrier === "cookie" ? become(answer) : issued(answer, began);
        if (answer && response.status === 401) return become(null, { why: is(answer, "no-credential") && !is(refused, "invalid-token") ? "signed-out" : "revoked" }); // a refusal may take the cookie
        throw new ProblemError(answer, response);
      } catch (error) {
        const { problem = null, response = undefined } = error instanceof ProblemError ? error : {};
        const wait = !response ? 1000 : response.status === 503 || response.status === 429 ? pause(response) : undefined;
        if (attempt < attempts && wait && globalThis.navigator?.onLine !== false) {
          await sleep(wait);
          continue;
        }
        say({ failed: problem }); // the others need not find out one after the other
        throw error;
      }
    }
  }

  /** @param {Issued} answer @param {number} began when it was asked for */
  const issued = (answer, began) => become(answer.session, {
    token: answer.access_token,
    refresh: answer.refresh_token,
    nonce: answer.refresh_token && globalThis.crypto?.randomUUID?.(),
    left: carrier === "cookie" ? Infinity : answer.expires_in * 1000 - (performance.now() - began),
  });

  /** Sends what a person typed. @param {string} path @param {object} body @param {{ signal?: AbortSignal }} [init] @returns {Promise<Session | Challenge>} */
  async function prove(path, body, init) {
    const answer = await alone(async () => {
      const began = performance.now();
      const response = await post(path, body, init);
      if (!response.ok) throw new ProblemError(await problemOf(response), response);
      const answer = await response.json();
      if (answer.session) issued(answer, began);
      return answer;
    });
    return answer.session ?? answer;
  }

  /** A copy that is good, if there can be one. @param {AbortSignal} [signal] */
  async function ready(signal) {
    try {
      if (due()) await unless(signal, renew(state.at));
    } catch (error) {
      if (signal?.aborted || !state.session || age() > state.left) throw error; // else it is good for a little longer
    }
  }

  async function check() {
    const response = await send(base + "/v1/session");
    if (response.ok) adopt({ ...rest(), session: await response.json() });
    else if (response.status !== 401) throw new ProblemError(await problemOf(response), response);
  }

  /** Ready, and with the CSRF token of the session if a cookie carries it. @param {AbortSignal} [signal] */
  async function armed(signal) {
    await ready(signal);
    if (inHeader || state.session === null || csrf !== undefined) return;
    const response = await ask("/v1/csrf", { signal });
    csrf = response.ok ? (await response.json()).csrf_token : "";
  }

  // What programs call.

  /** @type {Client["fetch"]} */
  async function send(input, init) {
    const request = new Request(input, init);
    const { origin } = new URL(request.url);
    if (!named.has(origin)) throw new TypeError(`${origin} is neither the issuer's origin nor one of origins: it gets no credential`);
    const unsafe = !/^(GET|HEAD|OPTIONS)$/.test(request.method);
    const once = init?.body instanceof ReadableStream;
    const done = new Set();
    const first = (/** @type {string} */ what) => !once && !done.has(what) && done.add(what);
    for (let attempt = 1; ; attempt++) {
      try {
        await (unsafe && origin === home ? armed : ready)(request.signal);
      } catch (error) {
        if (error instanceof ProblemError && error.response) return error.response;
        throw error;
      }
      const seen = state.at;
      const headers = new Headers(request.headers);
      if (state.token) headers.set("Authorization", "Bearer " + state.token);
      if (csrf && unsafe && origin === home) headers.set("X-CSRF-Token", csrf);
      const response = await fetch(new Request(once ? request : request.clone(), {
        headers,
        credentials: inHeader ? "omit" : "include",
        redirect: inHeader && request.redirect === "follow" ? "error" : request.redirect, // else another origin might get the token
      }));
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (is(problem, "step-up")) emit("step-up", problem);
      else if (response.status === 401 && state.session !== null && (is(problem, "invalid-token", "no-credential", "stale-claims") || !problem && age() > 5000) && first("401")) {
        try {
          await unless(request.signal, renew(seen, problem));
        } catch (error) {
          if (error instanceof ProblemError && error.response) return error.response;
          throw error;
        }
        if (state.session && is(problem, "stale-claims")) emit("stale", state.session);
        if (state.session) continue;
      } else if (is(problem, "cross-origin") && csrf !== undefined && unsafe && origin === home && first("csrf")) {
        csrf = undefined;
        continue;
      } else if (response.status === 503 && !once && attempt < attempts && (!unsafe || is(problem, "verifier-stale", "busy"))) {
        const wait = pause(response);
        if (wait) {
          await sleep(wait, request.signal);
          continue;
        }
      }
      return response;
    }
  }

  async function signOut() {
    await armed();
    await alone(async () => {
      if (inHeader && !state.session) return; // nobody is
      let response = await post("/v1/logout");
      if (response.status === 400 && state.token) response = await post("/v1/logout", undefined, { credentials: "omit" }); // beside the cookie of another login
      const problem = await problemOf(response);
      if (!response.ok && !(problem && response.status === 401)) throw new ProblemError(problem, response);
      become(null, { why: "signed-out" });
    });
  }

  /** @type {Client["session"]} */
  async function current({ fresh = false } = {}) {
    try {
      const ask = state.session === undefined || fresh;
      if (due() || ask && !paired) await renew(state.at);
      else if (ask) await check();
    } catch (error) {
      if (!state.session || fresh) throw error; // offline is not signed out
    }
    return state.session ?? null;
  }

  /** @param {Event} event */
  const wake = (event) => {
    const from = /** @type {PageTransitionEvent} */ (event);
    if (state.session === undefined || inHeader && !state.session || document.visibilityState !== "visible") return;
    if (from.persisted || due() || !inHeader && age() > 60000) current({ fresh: !due() }).catch(() => {});
  };
  globalThis.document?.addEventListener("visibilitychange", wake);
  globalThis.window?.addEventListener("pageshow", wake);

  return {
    signIn: ({ signal, ...proof }) => prove("/v1/login", { ...proof, carrier, client }, { signal }),
    register: ({ signal, ...account }) => prove("/v1/register", { ...account, carrier, client }, { signal }),
    answer: ({ attempt }, answer) => prove("/v1/login/continue", { attempt, answer, client }),
    stepUp: async (proof) => (await armed(), prove("/v1/session/step-up", proof)),
    changePassword: async (passwords) => (await armed(), prove("/v1/password", passwords)),
    signOut,
    session: current,
    fetch: send,
    on: (event, listener) => {
      const all = listeners.get(event) ?? new Set();
      listeners.set(event, all.add(listener));
      return () => { all.delete(listener); };
    },
    close: () => {
      channel?.close();
      globalThis.document?.removeEventListener("visibilitychange", wake);
      globalThis.window?.removeEventListener("pageshow", wake);
    },
  };
}
