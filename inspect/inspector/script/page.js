// The page. Whatever it shows was written by a stranger: it goes into text nodes, and nowhere else.

const $ = (id) => document.getElementById(id);

// el makes an element. Children are elements and texts.
function el(name, attributes, ...children) {
	const e = document.createElement(name);
	for (const [k, v] of Object.entries(attributes ?? {})) e.setAttribute(k, v);
	e.append(...children.filter((c) => c !== null && c !== undefined));
	return e;
}

const button = (text, act) => {
	const b = el("button", { type: "button" }, text);
	b.addEventListener("click", act);
	return b;
};

// box shows long text that scrolls within itself, also by keyboard.
const box = (label, text) => el("pre", { tabindex: "0", role: "region", "aria-label": label }, text);
const section = (title, ...children) => el("section", null, el("h3", null, title), ...children);
const list = (items, name = "ul") => el(name, null, ...items.map((i) => el("li", null, i)));
const table = (pairs) => el("dl", null, ...pairs.flatMap(([k, v]) => [el("dt", null, visible(k)), typeof v === "string" ? el("dd", null, visible(v)) : v]));

// A verdict says in words, and by its shape, what was done: read is dashed, verified has a solid
// frame, opened has one with round corners, refused has a double one.
const verdicts = { read: "Only read, not verified", verified: "✔ Verified", opened: "Decrypted, not verified", refused: "✘ Refused", made: "Made here" };
const verdict = (state, title, ...children) => el("div", { class: "verdict " + state }, el("h2", null, title ?? verdicts[state]), ...children);

// Tabs, as the ARIA authoring practices have them: one stop for Tab, arrows within.
const tabs = ["decode", "verify", "sign", "encrypt", "decrypt"];

function show(name, focus) {
	for (const t of tabs) {
		const chosen = t === name;
		$("tab-" + t).setAttribute("aria-selected", String(chosen));
		$("tab-" + t).tabIndex = chosen ? 0 : -1;
		$("panel-" + t).hidden = !chosen;
	}
	if (focus) $("tab-" + name).focus();
}

for (const [i, name] of tabs.entries()) {
	$("tab-" + name).addEventListener("click", () => show(name));
	$("tab-" + name).addEventListener("keydown", (e) => {
		const to = { ArrowRight: i + 1, ArrowLeft: i - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[e.key];
		if (to === undefined || e.ctrlKey || e.altKey || e.metaKey) return;
		e.preventDefault();
		show(tabs[to % tabs.length], true);
	});
}

// shown puts the result of work into the output of a tab. Work that was overtaken is dropped.
const turns = {};
async function shown(tab, work) {
	const turn = turns[tab] = (turns[tab] ?? 0) + 1;
	const out = $(tab + "-out");
	out.setAttribute("aria-busy", "true");
	let result;
	try {
		result = await work();
	} catch (e) {
		result = [refused(e)];
	}
	if (turns[tab] !== turn) return;
	out.replaceChildren(...result);
	$(tab + "-said").textContent = out.querySelector("h2")?.textContent ?? "";
	out.setAttribute("aria-busy", "false");
	count();
}

function refused(e) {
	const known = e instanceof Refusal;
	const text = known ? e.message : "The browser says: " + e.name + ", " + e.message;
	return verdict("refused", null, el("p", null, visible(text)), ...checks(e.checks), ...keysLeftOut(e.skipped));
}

const marks = { good: "✔ ", bad: "✘ ", none: "○ " };
const checks = (all) => all?.length ? [el("ul", { class: "checks" }, ...all.map(([state, text]) => el("li", { class: state }, marks[state] + visible(text))))] : [];
const keysLeftOut = (skipped) => skipped?.length ? [section("Keys that did not fit", list(skipped.map(visible)))] : [];

// when shows a time, local, in UTC, and as a countdown.
function when(at) {
	const date = new Date(at * 1000);
	if (!isNumber(at) || Number.isNaN(date.getTime())) return el("dd", null, "no time: " + visible(JSON.stringify(at)));
	const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" }).format(date);
	return el("dd", null, local, el("br"), date.toISOString().replace(".000Z", "Z") + " (UTC)", el("br"), el("span", { class: "countdown", "data-at": String(at) }));
}

function count() {
	for (const e of document.querySelectorAll(".countdown")) e.textContent = away(Number(e.dataset.at), Date.now() / 1000);
}
setInterval(count, 1000);

const timeNames = { auth_time: "Signed in (auth_time)", iat: "Issued (iat)", nbf: "Not before (nbf)", exp: "Expires (exp)", updated_at: "Profile changed (updated_at)", toe: "Event happened (toe)" };
function timeTable(claims) {
	const found = Object.keys(timeNames).filter((n) => isObject(claims) && claims[n] !== undefined);
	return found.length ? [section("Times", table(found.map((n) => [timeNames[n], when(claims[n])])))] : [];
}

// content shows a part of a token: JSON if it is, else text.
function content(label, p) {
	if (!p.bytes) return section(label, el("p", null, "It cannot be read: it is not base64url."), box(label + ", as it stands", visible(p.text)));
	if (p.json) return section(label, box(label, p.json.pretty));
	return section(label, el("p", null, p.bytes.length === 0 ? "It is empty." : "It " + (p.problem ?? "is no JSON") + "."), ...(p.bytes.length ? [box(label, p.utf8 ? visible(p.plain) : hex(p.bytes))] : []));
}

// decoded shows what a token says.
async function decoded(text) {
	if (!text.trim()) return [];
	const token = readToken(text);
	const out = [];
	if (token.form === "opaque") {
		return [verdict("read", null, el("p", { class: "kind" }, token.title + "."), el("p", null, "It says nothing: only its issuer can tell what it stands for. If others have seen it, have it revoked."))];
	}
	const { kind, because } = kindOf(token);
	const forms = { jws: "signed (JWS)", jwe: "encrypted (JWE)", "sd-jwt": "signed, with selective disclosure (SD-JWT)", unknown: "" };
	const spelled = (token.issued ?? token).serialization;
	const size = utf8.encode(token.text).length;
	const what = token.form === "unknown" ? "This is no token that the page knows." : token.form === "jwe"
		? "An encrypted token. Its claims can be read only with the key: see Decrypt."
		: "Kind: " + kind.title + " (" + kind.source + "), because " + visible(because) + ".";
	out.push(verdict("read", null, el("p", { class: "kind" }, what),
		el("p", null, token.form === "unknown" ? size + " bytes" : forms[token.form] + ", " + spelled + ", " + size + " bytes. Anybody can write such a text: nothing of it is proven until it is verified.")));
	if (token.problems.length) out.push(section("Faults of its form", list(token.problems.map(visible))));
	if (token.form === "unknown") return [...out, ...await findings(token)];

	const signed = token.issued ?? token;
	if (token.form === "jwe") {
		out.push(content("Header", token.protectedHeader));
		token.recipients.forEach((r, i) => {
			if (Object.keys(r.unprotected).length) out.push(section("Unprotected header " + (i + 1), box("Unprotected header", visible(JSON.stringify(r.unprotected, null, 2)))));
		});
	} else {
		const many = signed.signatures.length > 1;
		signed.signatures.forEach((s, i) => {
			const label = "Header" + (many ? " " + (i + 1) : "");
			if (s.header.text) out.push(content(label, s.header));
			if (s.unprotected) out.push(section("Unprotected " + label.toLowerCase(), box("Unprotected " + label.toLowerCase(), visible(JSON.stringify(s.unprotected, null, 2)))));
		});
		out.push(content("Claims", signed.payload));
	}
	if (token.form === "sd-jwt") out.push(...await disclosures(token));
	const found = await facts(token);
	if (found.length) out.push(section("Main points", table(found)));
	out.push(...timeTable(claimsOf(token)));
	if (token.form === "jwe") {
		out.push(section("Ciphertext", el("p", null, (token.ciphertext.bytes?.length ?? 0) + " bytes"), button("Go on to Decrypt", () => goTo("decrypt", token.text))));
	} else {
		const inner = innerOf(signed);
		if (inner) out.push(section("Inside is a token", button("Read the token inside", () => { goTo("decode", inner.text); decodeNow(); })));
		out.push(section("Signature", list(signed.signatures.map((s) => (s.signature.bytes?.length ?? 0) + " bytes, not verified")), button("Go on to Verify", () => goTo("verify", token.text))));
	}
	return [...out, ...await findings(token)];
}

async function disclosures(token) {
	const problems = [];
	const said = await disclose(token, problems);
	const rows = token.disclosures.map((d, i) => {
		if (d.wrong) return el("li", null, "Disclosure " + (i + 1) + " cannot be read");
		const name = d.name === null ? "an item of a list" : visible(JSON.stringify(d.name));
		return el("li", null, name + ": " + visible(JSON.stringify(d.value)), el("small", null, "digest " + d.digest + (d.used ? ", which is in the token" : ", which is not in the token")));
	});
	const out = [section("Disclosures", rows.length ? el("ol", null, ...rows) : el("p", null, "None."), el("p", null, said.hidden + " digests stay hidden."))];
	if (problems.length) out.push(section("Faults of the disclosures", list(problems.map(visible))));
	if (said.claims) out.push(section("Claims with what is disclosed", box("Claims with what is disclosed", visible(JSON.stringify(said.claims, null, 2)))));
	if (token.binding?.form === "jws") out.push(content("Key binding: header", token.binding.signatures[0].header), content("Key binding: claims", token.binding.payload));
	else out.push(section("Key binding", el("p", null, "There is none.")));
	return out;
}

// words has the severities, the worst first.
const words = { error: "✘ Error", warning: "▲ Warning", note: "○ Note" };
async function findings(token) {
	const found = await lint(token, Date.now() / 1000);
	const rows = Object.keys(words).flatMap((severity) => found.filter((f) => f.rule.severity === severity)).map(({ rule, text }) => el("li", { class: rule.severity }, el("strong", null, words[rule.severity] + ": " + rule.title), text ? " (" + visible(text) + ")" : null,
		el("small", null, rule.why + " " + rule.source + ". "), el("code", null, rule.id)));
	return [section("Lint", rows.length ? el("ul", { class: "lint" }, ...rows) : el("p", null, "No findings."))];
}

function goTo(tab, token) {
	$(tab + "-token").value = token;
	$(tab + "-out").replaceChildren();
	show(tab);
	$(tab + "-token").focus();
}

const decodeNow = () => shown("decode", () => decoded($("decode-token").value));
$("decode-token").addEventListener("input", decodeNow);

// act runs the work of a tab: by its button, and by Enter in a field of one line.
function act(tab, work) {
	const run = async () => {
		await shown(tab, work);
		const { top } = $(tab + "-out").getBoundingClientRect();
		if (top > innerHeight * 0.8) $(tab + "-out").scrollIntoView(); // on a phone it is below the fields
	};
	$(tab + "-go").addEventListener("click", run);
	for (const e of $("panel-" + tab).querySelectorAll("input")) e.addEventListener("keydown", (k) => { if (k.key === "Enter") run(); });
}

const field = (id) => $(id).value;

act("verify", async () => {
	const want = Object.fromEntries(["key", "encoding", "alg", "typ", "iss", "aud"].map((n) => [n, field("verify-" + n).trim()]));
	const text = field("verify-token");
	const report = await verify(text, { ...want, key: field("verify-key") }, Date.now() / 1000);
	const { token } = report, signed = token.issued ?? token;
	const claims = token.form === "sd-jwt" ? section("Claims", box("Claims", visible(JSON.stringify(report.claims, null, 2)))) : content("Claims", signed.payload);
	const whole = want.iss && want.aud; // else another service's token passes as well
	return [verdict("verified", whole ? verdicts.verified : "✔ Signature verified", el("p", null, "The checks that are marked ✔ were made and passed. Those marked ○ were not made."), ...checks(report.checks), claims, ...keysLeftOut(report.skipped))];
});

act("decrypt", async () => {
	const token = readToken(field("decrypt-token"));
	const found = await readKeys(field("decrypt-key"), field("decrypt-encoding"));
	const got = await decrypt(token, found);
	const { text, valid } = readText(got.plain);
	const inner = valid ? readToken(text) : { form: "unknown" };
	const nested = ["jws", "jwe", "sd-jwt"].includes(inner.form);
	const who = got.key.jwk.kty === "oct" ? "It was made by somebody who has the same secret." : "Anybody who has the public key can have made it: encryption is no signature.";
	const out = [el("p", null, who), el("p", null, got.alg + ", " + got.enc + (got.zip ? ", compressed (zip)" : "") + ", by " + visible(called(got.key.jwk, got.key.from)) + ", " + got.plain.length + " bytes.")];
	if (nested) {
		const to = inner.form === "jwe" ? "decrypt" : "verify";
		out.push(section("Inside is a token", box("The token inside", visible(text)), button("Read it", () => { goTo("decode", text); decodeNow(); }),
			button(to === "verify" ? "Go on to Verify" : "Decrypt it", () => goTo(to, text))));
	} else {
		let pretty = null;
		try {
			pretty = valid ? readJSON(text) : null;
		} catch {
			// it is no JSON, and shown as it is
		}
		out.push(section("What was inside", box("What was inside", pretty ? pretty.pretty : valid ? visible(text) : hex(got.plain))), ...timeTable(pretty?.value));
		if (pretty?.duplicates.length) out.push(section("Faults", list(pretty.duplicates.map((d) => visible(d) + " is there more than once"))));
	}
	return [verdict("opened", null, ...out, ...keysLeftOut(got.skipped))];
});

// output is a token that was made, to be copied.
const output = (id, label, text) => [el("label", { for: id }, label), Object.assign(el("textarea", { id, readonly: "", rows: "6", spellcheck: "false", autocomplete: "off" }), { value: text })];

// usable picks the one key that a token is made with.
async function usable(tab, fits) {
	const found = await readKeys(field(tab + "-key"), field(tab + "-encoding"));
	const good = found.keys.filter((k) => !fits(k.jwk));
	if (good.length === 0) refuse(found.keys.length ? "The key " + fits(found.keys[0].jwk) + "." : "There is no key that can be used: " + (found.skipped[0] ?? "") + ".");
	return (good.find((k) => k.jwk.d !== undefined) ?? good[0]).jwk;
}

act("sign", async () => {
	const alg = field("sign-alg"), payload = field("sign-claims").trim();
	const jwk = await usable("sign", signs(alg));
	const header = { alg, ...(isText(jwk.kid) ? { kid: jwk.kid } : {}), ...readObject(field("sign-header") || "{}", "The header") };
	if (header.alg !== alg) refuse("The header names another alg than you chose.");
	uncritical(header);
	readObject(payload, "The text of the claims");
	const text = await sign(header, utf8.encode(payload), jwk, field("sign-form"));
	const key = jwk.kty === "oct" ? field("sign-key") : JSON.stringify({ ...publicOf(jwk), alg }, null, 1);
	const out = [...output("sign-result", "The token", text)];
	if (jwk.kty !== "oct") out.push(...output("sign-public", "The public key, for those who verify", key));
	out.push(button("Read it", () => { goTo("decode", text); decodeNow(); }), button("Go on to Verify", () => {
		goTo("verify", text);
		$("verify-key").value = key;
		$("verify-encoding").value = field("sign-encoding");
	}), button("Go on to Encrypt", () => {
		$("encrypt-text").value = text;
		$("encrypt-header").value = '{"cty":"JWT"}';
		show("encrypt");
		$("encrypt-text").focus();
	}));
	return [verdict("made", "Signed", ...out)];
});

act("encrypt", async () => {
	const alg = field("encrypt-alg"), enc = field("encrypt-enc");
	const jwk = await usable("encrypt", opens(alg, enc));
	const header = { alg, enc, ...(isText(jwk.kid) ? { kid: jwk.kid } : {}), ...($("encrypt-zip").checked ? { zip: "DEF" } : {}), ...readObject(field("encrypt-header") || "{}", "The header") };
	if (header.alg !== alg || header.enc !== enc) refuse("The header names another alg or enc than you chose.");
	uncritical(header);
	const text = await encrypt(header, utf8.encode(field("encrypt-text")), jwk, field("encrypt-form"));
	return [verdict("made", "Encrypted", ...output("encrypt-result", "The token", text), button("Go on to Decrypt", () => {
		goTo("decrypt", text);
		$("decrypt-key").value = field("encrypt-key");
		$("decrypt-encoding").value = field("encrypt-encoding");
	}))];
});

for (const tab of ["sign", "encrypt"]) {
	$(tab + "-new").addEventListener("click", async () => {
		$(tab + "-key").value = await newKey(field(tab + "-alg"), $("encrypt-enc").value);
		if (field(tab + "-alg").startsWith("PBES2")) $(tab + "-encoding").value = "text";
		$(tab + "-said").textContent = "A new key is in the field.";
	});
}

const options = (id, names) => $(id).append(...names.map((n) => el("option", null, n)));
options("sign-alg", ["ES256", ...Object.keys(signing).filter((a) => a !== "ES256" && a !== "EdDSA")]);
options("verify-alg", Object.keys(signing));
options("encrypt-alg", ["ECDH-ES+A256KW", ...keyAlgs.filter((a) => a !== "ECDH-ES+A256KW")]);
options("encrypt-enc", ["A256GCM", ...contents.filter((c) => c !== "A256GCM")]);

// begin fills the fields with something to try.
function begin() {
	const now = Math.floor(Date.now() / 1000);
	$("sign-header").value = '{"typ":"at+jwt"}';
	$("sign-claims").value = JSON.stringify({ iss: "https://issuer.example", sub: "someone", aud: "https://api.example", client_id: "app", jti: base64url(random(9)), iat: now, exp: now + 300 }, null, 1);
	$("encrypt-text").value = "a text that nobody else can read";
}

$("clear").addEventListener("click", () => {
	for (const e of document.querySelectorAll("textarea, input:not([type=checkbox])")) e.value = "";
	for (const t of tabs) $(t + "-out").replaceChildren();
	begin();
	$("decode-said").textContent = "What you put in is gone.";
	show("decode", true);
});

// take moves a token from the address into its field. The address loses it at once.
function take() {
	if (location.hash.length < 2) return;
	const given = new URLSearchParams(location.hash.slice(1)).get("token");
	history.replaceState(null, "", location.pathname + location.search);
	if (given === null) return;
	goTo("decode", given);
	decodeNow();
}

begin();
show("decode");
take();
addEventListener("hashchange", take);
