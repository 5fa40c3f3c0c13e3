// The page works without this: the buttons are forms. With it, the figures tick.
const cards = new Map([...document.querySelectorAll("article")].map((card) => [card.dataset.carrier, card]));
const news = document.querySelector("#news"); // what a screen reader is told: only when it changes

const set = (card, field, text) => {
  const at = card.querySelector(`[data-field=${field}]`);
  if (at instanceof HTMLInputElement) at.value = text;
  else if (at.textContent !== String(text)) at.textContent = text;
};

function show(state) {
  for (const client of state.clients) {
    const card = cards.get(client.carrier);
    for (const field of ["verdict", "answer", "calls", "size", "holds", "shown", "session"]) set(card, field, client[field]);
    card.classList.toggle("refused", client.refused !== "" || client.failed);
  }
  if (news.textContent !== state.news) news.textContent = state.news;
}

new EventSource("/live/events").onmessage = (event) => show(JSON.parse(event.data));

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    button.disabled = false;
    button.focus();
    if (!answer.ok) news.textContent = "That did not work: the auth server could not be reached.";
  });
}
