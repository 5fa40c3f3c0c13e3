// What the pages do better with JavaScript. Without it a password stays unseen, and times are in UTC.

// A button beside each password shows what was typed.
for (const box of document.querySelectorAll(".secret")) {
	const field = box.querySelector("input");
	const button = document.createElement("button");
	button.type = "button";
	button.setAttribute("aria-controls", field.id);
	const show = (shown) => {
		field.type = shown ? "text" : "password";
		button.textContent = shown ? box.dataset.hide : box.dataset.show;
		button.setAttribute("aria-label", shown ? box.dataset.hideName : box.dataset.showName); // has the text: who says it to press it is heard
	};
	show(false);
	button.addEventListener("click", () => show(field.type === "password"));
	field.form.addEventListener("submit", () => show(false)); // so that no browser keeps it as text
	box.append(button);
}

// A page that only leads back to a form does so by itself.
document.querySelector("form[data-resume]")?.requestSubmit();

// The link of a mail has its token as the fragment. It goes into the form, and out of the address bar; the
// visitor sees the button alone.
for (const linked of document.querySelectorAll("[data-fragment]")) {
	const take = () => {
		const token = location.hash.slice(1);
		if (!token) return;
		const field = document.getElementById(linked.dataset.fragment);
		field.value = token;
		field.closest(".field").hidden = true;
		history.replaceState(null, "", location.pathname);
		if ("shows" in linked.dataset) linked.requestSubmit(); // to a page that says what the link is for, and asks
	};
	take();
	addEventListener("hashchange", take); // another link, opened while the page is there
}

// Each time is shown in the zone of the reader, with UTC beside it.
const page = document.documentElement.lang;
const language = navigator.languages.find((one) => one.split("-")[0] === page) ?? page;
const local = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
export const showTimes = (within) => {
	for (const time of within.querySelectorAll("time")) {
		const at = new Date(time.dateTime);
		if (at.getTimezoneOffset() === 0) continue;
		const utc = at.getDate() === at.getUTCDate() ? time.dateTime.slice(11, 16) + " UTC" : time.textContent;
		time.textContent = `${local.format(at)} (${utc})`;
	}
};
showTimes(document);
