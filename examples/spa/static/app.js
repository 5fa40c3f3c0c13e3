import { issuer } from "./settings.js";
const { createClient } = await import(issuer + "/client.js"); // or: npm install @counterfoil/client

const auth = createClient({ issuer, client: "spa", carrier: "bearer", origins: [location.origin] });
const $ = (id) => document.getElementById(id);
const say = (text) => { $("news").value = text; };

// Each call and each event ends here, in every tab.
function show(session) {
  $("who").value = session ? `Signed in as ${session.subject}` : "Nobody is signed in.";
  $("sign-in").hidden = Boolean(session);
  $("signed-in").hidden = !session;
  $("prove").hidden = true;
}
auth.on("change", show);
auth.on("signed-out", () => say("You are signed out, in all tabs."));
auth.on("revoked", () => say("Your session was ended elsewhere. Sign in again."));
auth.on("step-up", () => {
  $("prove").hidden = false;
  say("That takes your password, once more.");
});

async function notes(method) {
  const answer = await auth.fetch("/api/notes", { method });
  if (answer.status !== 401) say(answer.ok ? await answer.text() : (await answer.json()).title); // of a 401 an event tells
}

// form does something with what was typed, and says what went wrong.
function form(id, submit) {
  $(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    event.target.reset();
    say("");
    await submit(fields).catch((error) => say(error.message));
  });
}
form("sign-in", (fields) => auth.signIn(fields));
form("prove", async (fields) => {
  await auth.stepUp(fields);
  $("prove").hidden = true;
  await notes("DELETE");
});

$("read").addEventListener("click", () => notes("GET").catch((error) => say(error.message)));
$("delete").addEventListener("click", () => notes("DELETE").catch((error) => say(error.message)));
$("sign-out").addEventListener("click", () => auth.signOut().catch((error) => say(`Not signed out: ${error.message}`)));

auth.session().then(show, () => say("The auth server cannot be reached. Try again later."));
