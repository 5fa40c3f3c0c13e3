// The link of an invitation has its token as the fragment. This puts it into the form, takes it
// out of the address bar, and says at once if the invitation is no longer good. Without
// JavaScript the visitor copies the link, and learns it from the answer to the form.

const form = document.querySelector("form");
const field = document.getElementById("token");
const founder = document.getElementById("founder");
const name = document.getElementById("identifier");

async function take() {
	const token = location.hash.slice(1);
	if (!token) return;
	field.value = token;
	history.replaceState(null, "", location.pathname);
	await check();
	if (document.activeElement?.value) return; // something is typed already
	(founder.hidden || name.value ? document.getElementById("password") : name).focus();
}

// ask shows what the invitation asks for: that of the first administrator a name, too.
function ask(first) {
	const heading = document.querySelector("h1");
	const title = first ? form.dataset.first : form.dataset.title;
	document.title = document.title.replace(heading.textContent, () => title);
	heading.textContent = title;
	founder.hidden = !first;
	name.required = first;
}

// check asks whether what is in the field can be used. What it cannot find out, the form will.
async function check() {
	const text = field.value;
	const token = text.slice(text.lastIndexOf("#") + 1).trim();
	let status = 0;
	if (token) {
		const question = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) };
		status = await fetch(form.dataset.check, question).then((answer) => answer.status, () => 0);
	}
	if (field.value !== text) return; // another was put there meanwhile
	if (status === 200 || status === 204) ask(status === 200); // 200: it is for the first administrator
	const box = field.closest(".field"); // a good one needs no look
	if (box) box.hidden = status === 200 || status === 204;
	document.getElementById("void").hidden = status !== 401;
	document.getElementById("used").hidden = status !== 410;
}

take();
addEventListener("hashchange", take); // another link, opened while the page is there
field.addEventListener("change", check);
