// The forms of a token: compact and JSON, signed and encrypted, SD-JWT, and our own opaque ones.
// Reading checks nothing but the form. Faults are collected in problems: a damaged token is shown
// as far as it can be read, and refused by whoever verifies it.

const largest = 1 << 18;

// fault adds a fault of the form, and the rule of lint that it breaks.
function fault(problems, text, rule) {
	problems.push(text);
	(problems.found ??= []).push({ rule, text });
}

// part reads one base64url part of a token. Other spellings of the same bytes are read, too, and
// are faults.
function part(text, name, problems) {
	const p = { text, name, bytes: null };
	const clean = text.replace(/[ \t\r\n=]/g, "").replaceAll("+", "-").replaceAll("/", "_");
	try {
		if (clean !== text) fault(problems, "the " + name + " has characters that base64url does not have", "base64url");
		const read = fromBase64url(clean);
		p.bytes = read.bytes;
		if (read.unused) fault(problems, "the " + name + " has unused bits that are set: the same bytes have another spelling", "unused-bits");
	} catch (e) {
		fault(problems, "the " + name + " " + e.message, "form");
	}
	return p;
}

// withJSON reads the bytes of a part as JSON. Only a header must be an object.
function withJSON(p, problems, must) {
	if (!p.bytes) return p;
	const read = readText(p.bytes);
	p.plain = read.text;
	p.utf8 = read.valid;
	if (!must && !/^\s*\{/.test(read.text) && p.name === "payload") { // any bytes can be signed
		p.problem = "is no JSON object";
		if (read.valid) try { p.json = readJSON(read.text); } catch { /* it is shown as it is */ }
		return p;
	}
	try {
		p.json = readJSON(read.text);
		if (!read.valid) p.json.strange = "bytes that are not UTF-8";
		const { duplicates, strange, large } = p.json;
		for (const name of duplicates) fault(problems, "the " + p.name + " has the member " + visible(name) + " more than once", "duplicate-member");
		if (strange) fault(problems, "the " + p.name + " has " + strange, "json");
		else if (large && !duplicates.length) (problems.found ??= []).push({ rule: "json", text: "the " + p.name + " has " + large });
		if (must && !isObject(p.json.value)) refuse("is no JSON object");
	} catch (e) {
		p.problem = e.message;
		if (must) {
			p.json = undefined;
			fault(problems, "the " + p.name + " " + e.message, "form");
		}
	}
	return p;
}

// merged is the joint header of a signature or a recipient: no member may be in two places.
function merged(problems, ...headers) {
	const all = Object.create(null);
	for (const h of headers) {
		for (const name of Object.keys(h ?? {})) {
			if (name in all) problems.push("the header has " + visible(name) + " in two places");
			all[name] = h[name];
		}
	}
	return all;
}

// Credentials of Counterfoil that are no tokens. Only their kind is said.
const credentials = [
	[/^cfr_[\w.-]{20,}$/, "A refresh token of Counterfoil"], [/^cfk_[\w.-]{20,}$/, "An API key of Counterfoil"],
	[/^cfi_[\w.-]{20,}$/, "An invitation of Counterfoil"], [/^cf[\w.-]_[\w.-]{20,}$/, "A credential of Counterfoil"],
	[/^[\w-]{43}$/, "An opaque id, such as a session cookie or an access token of Counterfoil"],
];

// readToken tells what text is: form is jws, jwe, sd-jwt, opaque or unknown. It keeps the scheme of
// an Authorization header.
function readToken(text) {
	const problems = [];
	const [, scheme, rest] = /^(?:Authorization:\s*)?(Bearer|DPoP) +([^]*)$/i.exec(text.trim()) ?? [null, "", text.trim()];
	text = rest.trim();
	const token = { form: "unknown", text, problems, scheme: scheme.toLowerCase() };
	if (text.length > largest) {
		fault(problems, "it has more than 256 KiB, and was not read", "form");
		return { ...token, text: "" };
	}
	if (text.startsWith("{")) return readJSONForm(token);
	if (text.includes("~")) return readSDJWT(token);
	const dots = text.split(".").length - 1;
	if (dots === 2) {
		const [header, payload, signature] = text.split(".");
		return jws(token, "compact", payload, [{ protected: header, signature }]);
	}
	if (dots === 4) {
		const [header, key, iv, ciphertext, tag] = text.split(".");
		return jwe(token, "compact", { protected: header, iv, ciphertext, tag }, [{ encrypted_key: key }]);
	}
	const credential = credentials.find(([like]) => like.test(text));
	if (credential) return Object.assign(token, { form: "opaque", title: credential[1] });
	fault(problems, "it has no form of a token: a signed one has 3 parts, an encrypted one 5, and this has " + (dots + 1), "form");
	return token;
}

function jws(token, serialization, payload, signatures) {
	const { problems } = token;
	token.form = "jws";
	token.serialization = serialization;
	token.signatures = signatures.map((s) => {
		const header = withJSON(part(s.protected ?? "", "header", problems), problems, s.protected !== undefined);
		return {
			header, unprotected: s.header, joint: merged(problems, header.json?.value, s.header),
			signature: part(s.signature ?? "", "signature", problems),
			input: utf8.encode((s.protected ?? "") + "." + payload),
		};
	});
	const raw = token.signatures[0].header.json?.value.b64 === false; // RFC 7797: it is there as it is
	token.payload = withJSON(raw ? { text: payload, name: "payload", bytes: utf8.encode(payload) } : part(payload, "payload", problems), problems, false);
	token.header = token.signatures[0].joint;
	return token;
}

function jwe(token, serialization, t, recipients) {
	const { problems } = token;
	token.form = "jwe";
	token.serialization = serialization;
	const header = withJSON(part(t.protected ?? "", "header", problems), problems, t.protected !== undefined);
	token.protectedHeader = header;
	token.recipients = recipients.map((r) => ({
		joint: merged(problems, header.json?.value, t.unprotected, r.header),
		unprotected: merged([], t.unprotected, r.header), key: part(r.encrypted_key ?? "", "encrypted key", problems),
	}));
	token.iv = part(t.iv ?? "", "initialization vector", problems);
	token.ciphertext = part(t.ciphertext ?? "", "ciphertext", problems);
	token.tag = part(t.tag ?? "", "tag", problems);
	token.aad = utf8.encode((t.protected ?? "") + (t.aad === undefined ? "" : "." + t.aad));
	if (t.aad !== undefined) part(t.aad, "additional data", problems);
	token.header = token.recipients[0].joint;
	return token;
}

// texts checks that the members of an object are texts where they are there.
function texts(o, names, problems) {
	for (const name of names) {
		if (o[name] !== undefined && !isText(o[name])) problems.push(name + " is no text");
	}
	return Object.fromEntries(names.filter((n) => isText(o[n])).map((n) => [n, o[n]]));
}

// readJSONForm reads the JSON serialization, general or flattened (RFC 7515 section 7.2, RFC 7516
// section 7.2).
function readJSONForm(token) {
	const { problems } = token;
	let read;
	try {
		read = readJSON(token.text);
	} catch (e) {
		fault(problems, "the token " + e.message, "form");
		return token;
	}
	const v = read.value;
	for (const name of read.duplicates) fault(problems, "the token has the member " + visible(name) + " more than once", "duplicate-member");
	const object = (h) => h === undefined || isObject(h) ? h : void problems.push("an unprotected header is no object");
	for (const [many, one] of [["signatures", "signature"], ["recipients", "encrypted_key"]]) {
		if (v[many] !== undefined && v[one] !== undefined) problems.push("it has both " + many + " and " + one);
	}
	if (isText(v.payload)) {
		const list = Array.isArray(v.signatures) ? v.signatures : [v];
		if (list.length === 0 || !list.every(isObject)) {
			problems.push("it has no signatures");
			return token;
		}
		const signatures = list.map((s) => ({ ...texts(s, ["protected", "signature"], problems), header: object(s.header) }));
		return jws(token, list[0] === v ? "JSON, flattened" : "JSON, general", v.payload, signatures);
	}
	if (isText(v.ciphertext)) {
		const list = Array.isArray(v.recipients) ? v.recipients : [v];
		if (list.length === 0 || !list.every(isObject)) {
			problems.push("it has no recipients");
			return token;
		}
		const recipients = list.map((r) => ({ ...texts(r, ["encrypted_key"], problems), header: object(r.header) }));
		const rest = { ...texts(v, ["protected", "iv", "ciphertext", "tag", "aad"], problems), unprotected: object(v.unprotected) };
		return jwe(token, list[0] === v ? "JSON, flattened" : "JSON, general", rest, recipients);
	}
	fault(problems, "it is a JSON object with neither payload nor ciphertext", "form");
	return token;
}
