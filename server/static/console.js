// What the console shows without a reload: entries of the revocation log as they come, and when the
// verifiers have them. Without JavaScript the page shows the same after a reload.

import { showTimes } from "./page.js";

// The parts of the overview that change come from the same page, read again. What a reader holds stays as it is: a
// part with the focus, and all parts while text is selected.
const parts = (page) => [...page.querySelectorAll("[data-live]")];
const read = async () => {
	const answer = await fetch(location.href).catch(() => undefined);
	if (!answer?.ok || answer.redirected) return; // what is shown stays: the next question may be answered
	const fresh = parts(new DOMParser().parseFromString(await answer.text(), "text/html"));
	for (const [n, part] of parts(document).entries()) {
		if (!fresh[n] || part.contains(document.activeElement) || getSelection().type === "Range") continue;
		part.replaceChildren(...fresh[n].childNodes);
		showTimes(part);
	}
};
if (parts(document).length) setInterval(() => { if (!document.hidden) read(); }, 5000);

const live = document.querySelector("[data-events]");
if (live) {
	const list = live.querySelector("ol"), state = live.querySelector("[role=status]");
	const most = 20;
	const line = (...texts) => {
		const item = document.createElement("li");
		for (const [name, text] of texts) {
			const part = document.createElement(name);
			part.textContent = text;
			item.append(part, " ");
		}
		return item;
	};
	const events = new EventSource(live.dataset.events);
	const on = (name, act) => events.addEventListener(name, (event) => act(JSON.parse(event.data)));
	const place = (cursor) => cursor.split(".").map((part, n) => n ? BigInt(part) : part);
	live.hidden = false;
	on("hello", () => { state.textContent = live.dataset.connected; });
	events.addEventListener("error", () => { // it connects again by itself, unless it was refused
		state.textContent = events.readyState === EventSource.CLOSED ? live.dataset.refused : live.dataset.lost;
	});
	on("revocation", (e) => {
		const called = (id) => e.users?.[id]?.identifier ?? id;
		const of = e.author?.subject, actor = e.author?.by.replace(/^subject:/, "");
		const by = e.author ? `${of && of !== actor ? `of ${called(of)} ` : ""}by ${called(actor)}` : "";
		const item = line(["time", new Date(e.author?.time ?? Date.now()).toLocaleTimeString()], ["code", [e.scope, e.id].filter(Boolean).join(" ")], ["span", by], ["em", live.dataset.waiting]);
		item.dataset.cursor = e.cursor;
		list.prepend(item);
		while (list.children.length > most) list.lastChild.remove();
	});
	on("confirmed", (e) => {
		const [epoch, upto] = place(e.cursor);
		for (const item of list.children) {
			const [of, seq] = place(item.dataset.cursor), mark = item.querySelector("em");
			if (of === epoch && seq <= upto && mark && !mark.dataset.confirmed) {
				mark.dataset.confirmed = e.after_ms;
				mark.textContent = `${live.dataset.confirmed} ${e.after_ms} ms (${e.verifiers})`;
			}
		}
	});
}
