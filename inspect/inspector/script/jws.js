// Signatures (RFC 7515, RFC 7518 section 3, RFC 8037, RFC 9864).

const hashOf = (alg) => "SHA-" + alg.slice(-3);
const signing = { none: null };
for (const size of ["256", "384", "512"]) {
	const hash = "SHA-" + size;
	signing["HS" + size] = { kty: "oct", as: { name: "HMAC", hash } };
	signing["RS" + size] = { kty: "RSA", as: { name: "RSASSA-PKCS1-v1_5", hash } };
	signing["PS" + size] = { kty: "RSA", as: { name: "RSA-PSS", hash, saltLength: Number(size) / 8 } };
}
for (const [alg, crv] of [["ES256", "P-256"], ["ES384", "P-384"], ["ES512", "P-521"]]) {
	signing[alg] = { kty: "EC", crv, as: { name: "ECDSA", hash: hashOf(alg), namedCurve: crv } };
}
signing.Ed25519 = signing.EdDSA = { kty: "OKP", crv: "Ed25519", as: { name: "Ed25519" } };
delete signing.none;

const kinds = { RSA: "an RSA key", EC: "a key on an elliptic curve", OKP: "an Edwards or Montgomery key", oct: "a secret" };

// signs tells why a key cannot be for alg; empty: it can.
const signs = (alg) => (jwk) => {
	const { kty, crv } = signing[alg];
	if (jwk.kty !== kty) return "is " + kinds[jwk.kty] + ", and " + alg + " needs " + kinds[kty];
	return crv && jwk.crv !== crv ? "is on the curve " + jwk.crv + ", and " + alg + " needs " + crv : "";
};

// uncritical refuses a header that asks for an extension: this page has none (RFC 7515 section
// 4.1.11).
function uncritical(joint) {
	if (joint.crit !== undefined) refuse("Its header has crit, " + visible(JSON.stringify(joint.crit)) + ", which must not be ignored, and this page knows no extension.");
	if (joint.b64 !== undefined) refuse("Its header has b64 (RFC 7797), which this page does not do.");
}

// verifySignature tries the keys that fit on one signature. It returns the key, or throws why
// there is none. Anything that is wrong with the form of the token is a refusal.
async function verifySignature(token, signature, found, only) {
	if (token.problems.length) refuse("Its form is wrong: " + token.problems[0] + ".");
	const { joint } = signature, { alg } = joint;
	if (!isText(alg)) refuse("Its header names no alg.");
	if (alg.toLowerCase() === "none") refuse("Its alg is " + visible(alg) + ": it is not signed, and anybody can write such a token.");
	if (!Object.hasOwn(signing, alg)) refuse("Its alg is " + visible(alg) + ", which is no signature algorithm of this page.");
	if (only && alg !== only) refuse("Its alg is " + alg + ", and you expect " + only + ".");
	uncritical(joint);
	const { keys, skipped } = fitting(found, alg, joint.kid, signs(alg), "sig");
	for (const k of keys) {
		const name = called(k.jwk, k.from);
		try {
			const { as } = signing[alg];
			const key = await importJWK(k.jwk, as, false, ["verify"]);
			if (await crypto.subtle.verify(as, key, signature.signature.bytes, signature.input)) return { key: k, alg, skipped };
			skipped.push(name + " did not make the signature");
		} catch (e) {
			if (!(e instanceof Refusal)) throw e;
			skipped.push(name + " " + e.message);
		}
	}
	const refusal = new Refusal(keys.length ? "The signature is not by " + (keys.length === 1 ? "this key." : "any of the " + keys.length + " keys that fit.") : "No key fits its alg, " + alg + ".");
	refusal.skipped = skipped;
	throw refusal;
}

// sign returns a compact token, or a flattened one.
async function sign(header, payload, jwk, form = "compact") {
	const { alg } = header;
	if (!Object.hasOwn(signing, alg)) refuse("There is no algorithm " + visible(String(alg)) + ".");
	const why = signs(alg)(jwk);
	if (why) refuse("The key " + why + ".");
	if (jwk.kty !== "oct" && !isPrivate(jwk)) refuse("The key is public: with that one verifies.");
	const { as } = signing[alg];
	const head = base64url(utf8.encode(JSON.stringify(header))), body = base64url(payload);
	const key = await importJWK(jwk, as, true, ["sign"]);
	const signature = base64url(new Uint8Array(await crypto.subtle.sign(as, key, utf8.encode(head + "." + body))));
	return form === "compact" ? [head, body, signature].join(".") : JSON.stringify({ payload: body, protected: head, signature }, null, 1);
}

// newKey makes a key for an algorithm of either kind, as a JWK.
async function newKey(alg, enc) {
	let jwk;
	if (alg.startsWith("HS")) jwk = { kty: "oct", k: base64url(random(Number(alg.slice(2)) / 8)) };
	else if (alg === "dir") jwk = { kty: "oct", k: base64url(random(contentKeyBytes(enc))) };
	else if (/^A\d{3}(GCM)?KW$/.test(alg)) jwk = { kty: "oct", k: base64url(random(Number(alg.slice(1, 4)) / 8)) };
	else if (alg.startsWith("PBES2")) return base64url(random(15));
	else if (alg.startsWith("ECDH-ES")) jwk = await generated({ name: "ECDH", namedCurve: "P-256" }, ["deriveBits"]);
	else {
		const as = alg.startsWith("RSA-OAEP") ? { name: "RSA-OAEP", hash: "SHA-256" } : signing[alg].as;
		const rsa = as.name.startsWith("RSA") ? { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) } : {};
		jwk = await generated({ ...as, ...rsa }, as.name === "RSA-OAEP" ? ["encrypt", "decrypt"] : ["sign", "verify"]);
	}
	jwk.alg = alg === "dir" ? enc : alg;
	jwk.kid = (await thumbprint(jwk)).slice(0, 12);
	return JSON.stringify(jwk, null, 1);
}

async function generated(as, usages) {
	const pair = await crypto.subtle.generateKey(as, true, usages);
	return bare(await crypto.subtle.exportKey("jwk", pair.privateKey), true);
}
