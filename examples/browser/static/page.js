// Every call goes through call(): a 401 means that the access copy has died, so it
// refreshes once and tries again. Refreshing is done by one tab at a time: the
// others wait for the lock and find the new cookie in place. An answer that was lost is asked
// for again with the same nonce, by which the server knows the browser: on another network,
// or after a reload, too.
const json = { "Content-Type": "application/json" };

async function refresh() {
  const asked = Date.now();
  return navigator.locks.request("counterfoil-refresh", async () => {
    if (Number(localStorage.getItem("refreshed")) > asked) return true; // no token: only the time
    const nonce = localStorage.getItem("nonce") ?? crypto.randomUUID();
    localStorage.setItem("nonce", nonce);
    const ask = () => fetch("/v1/refresh", { method: "POST", headers: json, body: JSON.stringify({ refresh_nonce: nonce }) });
    const answer = await ask().catch(ask);
    if (answer.ok) localStorage.setItem("refreshed", String(Date.now()));
    if (answer.ok || answer.status === 401) localStorage.removeItem("nonce"); // the next token has another
    return answer.ok;
  });
}

async function call(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.status !== 401 || !(await refresh())) return answer;
  return fetch(path, options);
}

const out = document.querySelector("#out");
const show = async (answer) => {
  out.value = answer.ok ? (await answer.text()) || "Done." : `${answer.status}: ${(await answer.json()).title}`;
};

document.querySelector("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(event.target));
  const answer = await fetch("/v1/login", {
    method: "POST", headers: json, body: JSON.stringify({ ...fields, carrier: "jwt-cookie" }),
  });
  if (answer.ok) out.value = "Signed in.";
  else await show(answer);
});
document.querySelector("#hello").addEventListener("click", async () => show(await call("/api/hello", { method: "POST" })));
document.querySelector("#logout").addEventListener("click", async () => show(await call("/v1/logout", { method: "POST" })));
