// Keys as people have them: a secret, PEM, JWK, JWK Set, certificate. All become JWKs, so that the
// rest of the page knows one form.

const ecCurves = { "P-256": 32, "P-384": 48, "P-521": 66 };
const publicMembers = { RSA: ["e", "kty", "n"], EC: ["crv", "kty", "x", "y"], OKP: ["crv", "kty", "x"], oct: ["k", "kty"], AKP: ["alg", "kty", "pub"] };

// readKeys returns { keys: [{ jwk, from }], skipped: [text] }. encoding is how a secret is spelled.
async function readKeys(text, encoding = "text") {
	const found = { keys: [], skipped: [] };
	const trimmed = text.trim();
	if (!trimmed) refuse("There is no key.");
	if (trimmed.startsWith("{") || trimmed.startsWith("[")) {
		let all;
		try {
			all = readJSON(trimmed);
		} catch (e) {
			refuse("The key " + e.message + ".");
		}
		if (all.duplicates.length) refuse("The key has the member " + visible(all.duplicates[0]) + " more than once.");
		const set = Array.isArray(all.value) ? all.value : Array.isArray(all.value.keys) ? all.value.keys : null;
		const pems = !set && Object.entries(all.value).filter(([, v]) => isText(v) && v.includes("-----BEGIN "));
		if (pems?.length) {
			for (const [kid, pem] of pems) await addPEM(found, pem, kid);
		} else {
			(set ?? [all.value]).forEach((jwk, i) => addJWK(found, jwk, set ? "key " + (i + 1) + " of the set" : "the key"));
		}
	} else if (trimmed.includes("-----BEGIN ")) {
		await addPEM(found, trimmed);
	} else {
		try {
			const bytes = encoding === "hex" ? fromHex(trimmed) : encoding === "base64" ? fromBase64(trimmed) : utf8.encode(text.replace(/\r?\n$/, ""));
			found.keys.push({ jwk: { kty: "oct", k: base64url(bytes) }, from: "the secret" });
		} catch (e) {
			refuse("The secret " + e.message + ".");
		}
	}
	return found;
}

// called is how a key is named on the page.
function called(jwk, from) {
	const kid = isText(jwk.kid) ? " (kid " + visible(jwk.kid) + ")" : "";
	return from + kid;
}

function addJWK(found, jwk, where) {
	try {
		if (!isObject(jwk)) refuse("is no object");
		const members = isText(jwk.kty) && Object.hasOwn(publicMembers, jwk.kty) ? publicMembers[jwk.kty] : refuse("has the kty " + visible(JSON.stringify(jwk.kty ?? null)) + ", which is none of RSA, EC, OKP and oct");
		if (jwk.kty === "AKP") refuse("is for " + visible(String(jwk.alg)) + ", which this page does not have");
		for (const name of members) {
			if (!isText(jwk[name])) refuse("has no " + name);
			if (name !== "kty" && name !== "crv" && fromBase64url(jwk[name]).unused) refuse("has unused bits in " + name);
		}
		if (jwk.kty === "EC" && !Object.hasOwn(ecCurves, jwk.crv) || jwk.kty === "OKP" && jwk.crv !== "Ed25519" && jwk.crv !== "X25519") {
			refuse("is on the curve " + visible(jwk.crv) + ", which this page does not have");
		}
		found.keys.push({ jwk: { ...jwk }, from: where });
	} catch (e) {
		if (!(e instanceof Refusal)) throw e;
		found.skipped.push(called(isObject(jwk) ? jwk : {}, where) + " " + e.message);
	}
}

async function addPEM(found, text, kid) {
	let n = 0;
	for (const [, label, body] of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)) {
		n++;
		if (label === "EC PARAMETERS") continue;
		const from = label.toLowerCase().replace("rsa", "RSA").replace("ec ", "EC ") + (n > 1 ? " " + n : "");
		try {
			if (/encrypted/i.test(label + body)) refuse("is encrypted: decrypt it first, for example with openssl pkey");
			const jwk = await pemKey(label, fromBase64(body));
			if (kid !== undefined) jwk.kid = kid;
			found.keys.push({ jwk, from });
		} catch (e) {
			if (!(e instanceof Refusal)) throw e;
			found.skipped.push("the " + from + " " + e.message);
		}
	}
	if (n === 0) refuse("The PEM text has no whole block from BEGIN to END.");
}

async function pemKey(label, bytes) {
	switch (label) {
	case "CERTIFICATE": case "X509 CERTIFICATE": {
		const jwk = await derKey(spkiOf(bytes), false);
		const [from, to] = certificateTimes(bytes);
		if (Date.now() < Date.parse(from) || Date.now() > Date.parse(to)) jwk.note = "the certificate is valid from " + from + " to " + to + " only";
		return jwk;
	}
	case "PUBLIC KEY": return derKey(bytes, false);
	case "PRIVATE KEY": return derKey(bytes, true);
	case "RSA PUBLIC KEY": return derKey(wrapRSA(bytes, false), false);
	case "RSA PRIVATE KEY": return derKey(wrapRSA(bytes, true), true);
	case "EC PRIVATE KEY": return derKey(wrapEC(bytes), true);
	}
	return refuse("is a kind of PEM that this page does not read");
}

// derKey turns PKCS#8 or SPKI into a JWK.
async function derKey(bytes, secret) {
	const kind = keyKind(bytes, secret);
	const as = kind === "rsa" ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } : kind in ecCurves ? { name: "ECDSA", namedCurve: kind }
		: kind === "Ed25519" || kind === "X25519" ? { name: kind } : refuse("is for " + (kind === "pss" ? "RSA-PSS alone" : kind) + ", which this browser does not read");
	const usages = kind === "X25519" ? (secret ? ["deriveBits"] : []) : [secret ? "sign" : "verify"];
	let jwk;
	try {
		jwk = await crypto.subtle.exportKey("jwk", await crypto.subtle.importKey(secret ? "pkcs8" : "spki", bytes, as, true, usages));
	} catch {
		refuse("is damaged, or not on its curve");
	}
	for (const name of ["alg", "use", "key_ops", "ext"]) delete jwk[name];
	return jwk;
}

// bare is jwk without what it says of its use: WebCrypto would compare that with ours in its own
// spelling. Whoever uses a key has compared before.
function bare(jwk, secret) {
	const names = ["kty", "crv", "n", "e", "x", "y", "k", ...(secret ? ["d", "p", "q", "dp", "dq", "qi"] : [])];
	return Object.fromEntries(names.filter((n) => jwk[n] !== undefined).map((n) => [n, jwk[n]]));
}

const isPrivate = (jwk) => jwk.kty !== "oct" && jwk.d !== undefined;
const publicOf = (jwk) => ({ ...bare(jwk, false), ...(jwk.kid === undefined ? {} : { kid: jwk.kid }) });

async function importJWK(jwk, as, secret, usages) {
	try {
		return await crypto.subtle.importKey("jwk", bare(jwk, secret), as, false, usages);
	} catch (e) {
		if (secret && jwk.kty === "RSA" && jwk.p === undefined) return refuse("has no p, q, dp, dq and qi, without which browsers do not use an RSA key");
		return refuse("is not accepted by the browser: " + (e.message || e.name));
	}
}

// thumbprint is that of RFC 7638.
async function thumbprint(jwk) {
	const members = publicMembers[jwk.kty];
	const sorted = Object.fromEntries(members.map((name) => [name, jwk[name]]));
	return base64url(await digest("SHA-256", utf8.encode(JSON.stringify(sorted))));
}

// bits is the size of an RSA key or of a secret.
function bits(jwk) {
	if (jwk.kty === "oct") return fromBase64url(jwk.k).bytes.length * 8;
	const n = fromBase64url(jwk.n).bytes;
	const first = n.findIndex((b) => b !== 0);
	return first < 0 ? 0 : (n.length - first) * 8 - Math.clz32(n[first]) + 24;
}

// fitting picks the keys that may have made the token, in order. skipped says of each other why
// not. A key set in the wild may have no alg and any kid: if no key has the kid of the token, all
// that fit are tried.
function fitting(found, alg, kid, fits, use) {
	const skipped = [...found.skipped], keys = [];
	const known = found.keys.some((k) => kid !== undefined && k.jwk.kid === kid);
	for (const k of found.keys) {
		const { jwk } = k;
		const ops = Array.isArray(jwk.key_ops) ? jwk.key_ops : null;
		const why = fits(jwk)
			|| (jwk.alg !== undefined && jwk.alg !== alg && !(/^(EdDSA|Ed25519)$/.test(jwk.alg) && /^(EdDSA|Ed25519)$/.test(alg)) && "is for " + visible(String(jwk.alg)) + " alone")
			|| (jwk.use !== undefined && jwk.use !== use && "has the use " + visible(String(jwk.use)))
			|| (ops && !ops.some((o) => (use === "sig" ? /^(sign|verify)$/ : /^((un)?wrapKey|(de|en)crypt|derive(Key|Bits))$/).test(o)) && "has key_ops for something else")
			|| (known && jwk.kid !== kid && "has another kid");
		if (why) skipped.push(called(jwk, k.from) + " " + why);
		else keys.push(k);
	}
	return { keys, skipped };
}
