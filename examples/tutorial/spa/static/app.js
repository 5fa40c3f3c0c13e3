const issuer = document.querySelector("meta[name=issuer]").content;
const { createClient } = await import(issuer + "/client.js");
const auth = createClient({ issuer, carrier: "bearer", origins: [location.origin] });

const who = document.querySelector("#who");
const out = document.querySelector("#out");
const show = (session) => { who.textContent = session ? `Signed in as ${session.subject}` : "Nobody is signed in."; };

// Also when another tab signs in or out, and when the session is ended elsewhere.
auth.on("change", show);
auth.on("revoked", () => { document.querySelector("#news").textContent = "Your session was ended elsewhere."; });

// say shows what a function answers, or why it was refused.
const say = async (work) => {
  try {
    out.value = (await work()) ?? "";
  } catch (err) {
    out.value = err.message;
  }
};
document.querySelector("#sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  say(async () => { await auth.signIn(Object.fromEntries(new FormData(event.target))); });
});
document.querySelector("#hello").addEventListener("click", () => say(async () => {
  const answer = await auth.fetch("/api/hello");
  return answer.ok ? answer.text() : (await answer.json()).title;
}));
document.querySelector("#sign-out").addEventListener("click", () => say(() => auth.signOut()));
await say(async () => { show(await auth.session()); });
