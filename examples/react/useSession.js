// Who is signed in, for React components: undefined until it is known, null if nobody is.
import { useSyncExternalStore } from "react";

const stores = new WeakMap(); // one for each client, whatever number of components asks

function storeOf(auth) {
  let store = stores.get(auth);
  if (store) return store;
  let session;
  const changed = new Set();
  const set = (next) => {
    session = next;
    changed.forEach((notify) => notify());
  };
  auth.on("change", set);
  auth.session().then(set, () => {}); // no answer: the next event tells
  store = {
    get: () => session,
    subscribe(notify) {
      changed.add(notify);
      return () => changed.delete(notify);
    },
  };
  stores.set(auth, store);
  return store;
}

/** @param {import("@counterfoil/client").Client} auth @returns {import("@counterfoil/client").Session | null | undefined} */
export const useSession = (auth) => useSyncExternalStore(storeOf(auth).subscribe, storeOf(auth).get, () => undefined);
