// Who is signed in, for Vue components: a ref of undefined until it is known, and of null if nobody is.
import { onScopeDispose, shallowRef } from "vue";

/** @param {import("@counterfoil/client").Client} auth @returns {import("vue").ShallowRef<import("@counterfoil/client").Session | null | undefined>} */
export function useSession(auth) {
  const session = shallowRef();
  const set = (next) => {
    session.value = next;
  };
  onScopeDispose(auth.on("change", set));
  auth.session().then(set, () => {}); // no answer: the next event tells
  return session;
}
