// What is unwise about a token. The rules are data that the commands share: RULES has their texts,
// and this has the check for each id. A check returns a detail, or true if there is none to say;
// anything else means that the token keeps the rule.

const fold = (name) => name.toUpperCase().toLowerCase(); // also the long s and the sign of Kelvin
const registered = ["alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"];
const claimNames = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "scope", "client_id", "cnf", "roles"];
const timeClaims = ["exp", "iat", "nbf", "auth_time"];
const rareAlgs = ["ES256K", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"], rareKeyAlgs = ["RSA-OAEP-384", "RSA-OAEP-512"];
const signatureBytes = { HS256: 32, HS384: 48, HS512: 64, ES256: 64, ES384: 96, ES512: 132, ES256K: 64, Ed25519: 64, EdDSA: 64 };
const personal = ["name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "email", "gender",
	"birthdate", "birthday", "phone", "phone_number", "mobile", "address", "street_address", "postal_code", "ssn", "social_security_number",
	"tax_id", "passport", "nationality", "first_name", "last_name", "full_name"];
const secretNames = ["password", "passwd", "pwd", "secret", "client_secret", "api_key", "apikey", "private_key", "access_token", "refresh_token",
	"pin", "otp", "totp_secret", "credit_card", "card_number", "cvv"];
const kept = ["sd-jwt", "status-list", "security-event", "key-binding"]; // may live for years
const mail = /^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$/;
const milliseconds = 1e11, noDate = 1e14, latest = 253402300799; // in seconds: the year 5138, none, the end of 9999

const secretPart = (jwk) => isObject(jwk) && ["d", "p", "q", "k", "priv"].some((m) => m in jwk);
const boundKey = (cnf) => isObject(cnf) && ["jwk", "jwe", "jku", "kid", "jkt", "x5t#S256"].some((n) => n in cnf);
const isTime = (v) => isNumber(v) && v >= 0 && v <= latest;
const filled = (v) => isText(v) && v !== "";
const isSignature = (alg) => isText(alg) && Object.hasOwn(signing, alg);

const inForm = (id) => ({ token }) => token.problems.found?.find((f) => f.rule === id)?.text;
const inHeader = (check) => (c) => c.headers.map((h) => check(h, c)).find(Boolean);
const inSignature = (check) => (c) => c.signed?.signatures.map((s) => check(s, c)).find(Boolean);
const inClaims = (check) => (c) => c.claims && check(c.claims, c);
const hasNot = (name) => inClaims((claims, { kind }) => kind.needs.includes(name) && !(name in claims) && kind.title + "s have it");
const algs = (check) => inHeader((h, c) => isText(h.alg) && h.alg !== "" && check(h.alg, "enc" in h, c));

const lintChecks = {
	"form": ({ token }) => token.form === "opaque" ? "it says nothing, so there is nothing to look at" : inForm("form")({ token }),
	"base64url": inForm("base64url"),
	"unused-bits": inForm("unused-bits"),
	"json": inForm("json"),
	"duplicate-member": inForm("duplicate-member"),
	"case": inClaims((claims) => Object.keys(claims).find((n) => claimNames.some((k) => n !== k && fold(n) === k))),
	"json-serialization": ({ token }) => token.serialization?.startsWith("JSON"),
	"unprotected-alg": inSignature((s) => s.unprotected && ["alg", "crit"].find((n) => n in s.unprotected)),
	"size-1k": ({ size }) => size > 1024 && size <= 3584 && size + " bytes",
	"size-3k5": ({ size }) => size > 3584 && size + " bytes",
	"alg-none": algs((alg, encrypts) => !encrypts && fold(alg) === "none"),
	"alg-missing": inHeader((h) => !filled(h.alg)),
	"alg-unknown": algs((alg, encrypts) => fold(alg) !== "none" && !(encrypts ? [...keyAlgs, ...rareKeyAlgs, "RSA1_5"] : [...Object.keys(signing), ...rareAlgs]).includes(alg) && alg),
	"alg-rare": algs((alg, encrypts) => (encrypts ? rareKeyAlgs : rareAlgs).includes(alg) && alg),
	"alg-eddsa": algs((alg, encrypts) => !encrypts && alg === "EdDSA"),
	"alg-symmetric": inSignature((s) => isSignature(s.joint.alg) && s.joint.alg.startsWith("HS")),
	"signature-missing": inSignature((s) => s.signature.bytes?.length === 0 && fold(String(s.joint.alg)) !== "none"),
	"signature-length": inSignature(({ joint: { alg }, signature: { bytes } }) => bytes?.length > 0
		&& (Object.hasOwn(signatureBytes, alg) ? bytes.length !== signatureBytes[alg] : isSignature(alg) && bytes.length < 128) && bytes.length + " bytes"),
	"weak-secret": async ({ signed }) => {
		for (const s of signed?.signatures ?? []) if (await guessed(s)) return await guessed(s);
	},
	"hmac-audiences": inSignature((s, { claims }) => isSignature(s.joint.alg) && s.joint.alg.startsWith("HS") && Array.isArray(claims?.aud) && claims.aud.length > 1 && claims.aud.every(isText)),
	"key-mismatch": inSignature((s, { key }) => key && isSignature(s.joint.alg) && signs(s.joint.alg)(key)),
	"header-type": inHeader((h) => ["kid", "typ", "cty", "enc"].find((n) => n in h && !isText(h[n]))),
	"header-jku": inHeader((h) => "jku" in h),
	"header-x5u": inHeader((h) => "x5u" in h),
	"header-jwk": inHeader((h, { kind }) => "jwk" in h && kind.id !== "dpop-proof"),
	"header-x5c": inHeader((h) => "x5c" in h),
	"private-key": ({ headers, claims }) => headers.some((h) => secretPart(h.jwk)) || boundKey(claims?.cnf) && secretPart(claims.cnf.jwk),
	"crit-unknown": inHeader((h) => Array.isArray(h.crit) && h.crit.every(isText) && h.crit.find((n, i) => !registered.includes(n) && h.crit.indexOf(n) === i && n in h && n !== "b64")),
	"crit-form": inHeader((h) => "crit" in h && (!Array.isArray(h.crit) || h.crit.length === 0 || !h.crit.every(isText)
		|| h.crit.some((n, i) => registered.includes(n) || h.crit.indexOf(n) !== i || !(n in h)))),
	"b64-false": inHeader((h) => h.b64 === false),
	"zip": inHeader((h) => "zip" in h),
	"kid-missing": inHeader((h, { kind }) => !("kid" in h) && !["dpop-proof", "key-binding"].includes(kind.id)),
	"kid-injection": inHeader((h) => isText(h.kid) && /[\u0000-\u0020\u007f"'`;|&$<>(){}\\*?!%]|\.\.|--|:\/\/|^\//.test(h.kid) && "kid is " + JSON.stringify(h.kid)),
	"typ-missing": inHeader((h) => !("typ" in h)),
	"typ-generic": inClaims((_, { kind, headers }) => kind.id === "access-token" && typOf(headers[0]) === "jwt"),
	"typ-confusion": inClaims((claims, { kind }) => kind.foreign.filter((n) => n in claims).join(", ")),
	"nested-none": ({ inner }) => inner?.form === "jws" && fold(String(inner.header.alg)) === "none",
	"encrypted-unsigned": inHeader((h, { signed }) => !signed && typOf({ typ: h.cty }) !== "jwt"),
	"x5t-sha1": inHeader((h) => "x5t" in h),
	"enc-unknown": inHeader((h, { signed }) => !signed && !contents.includes(h.enc)),
	"alg-rsa1_5": algs((alg, _, { signed }) => !signed && alg === "RSA1_5"),
	"pbes2-rounds": inHeader((h, { signed }) => !signed && /^PBES2-/.test(h.alg) && !(isNumber(h.p2c) && h.p2c >= 1000 && h.p2c <= mostRounds)),
	"claims-missing": ({ signed, claims, inner }) => signed && !claims && !inner,
	"iss-missing": hasNot("iss"),
	"aud-missing": hasNot("aud"),
	"exp-missing": hasNot("exp"),
	"claim-missing": inClaims((claims, { kind }) => kind.needs.filter((n) => !["iss", "aud", "exp"].includes(n) && !(n in claims)).join(", ")),
	"claim-type": inClaims((claims) => ["iss", "sub", "jti", "client_id", "sid", "azp", "nonce"].find((n) => n in claims && !filled(claims[n]))
		?? ("aud" in claims && !isText(claims.aud) && !(Array.isArray(claims.aud) && claims.aud.every(isText)) ? "aud" : undefined)),
	"aud-any": inClaims(({ aud }) => Array.isArray(aud) && !aud.every(isText) ? false : isText(aud) || Array.isArray(aud) ? aud.length === 0 || [aud].flat().some((a) => a === "" || a === "*") : false),
	"time-type": inClaims((claims) => timeClaims.find((n) => n in claims && typeof claims[n] !== "number")),
	"time-range": inClaims((claims) => timeClaims.find((n) => typeof claims[n] === "number" && (claims[n] <= 0 || claims[n] >= noDate))),
	"time-milliseconds": inClaims((claims) => timeClaims.find((n) => claims[n] >= milliseconds && claims[n] < noDate && isNumber(claims[n]))),
	"time-fraction": inClaims((claims) => timeClaims.find((n) => isNumber(claims[n]) && claims[n] > 0 && claims[n] < milliseconds && claims[n] % 1 !== 0)),
	"expired": inClaims(({ exp }, { now }) => isTime(exp) && exp <= now && away(exp, now)),
	"nbf-future": inClaims(({ nbf }, { now }) => isTime(nbf) && nbf > now + 60 && away(nbf, now)),
	"iat-future": inClaims(({ iat }, { now }) => isTime(iat) && iat > now + 60 && away(iat, now)),
	"nbf-after-exp": inClaims(({ nbf, exp }) => isTime(nbf) && isTime(exp) && nbf >= exp),
	"exp-before-iat": inClaims(({ iat, exp }) => isTime(iat) && isTime(exp) && exp <= iat),
	"lifetime": inClaims(({ iat, exp }, { kind }) => isTime(iat) && isTime(exp) && !kept.includes(kind.id) && exp - iat > 900 && away(exp, iat).replace("in ", "")),
	"iss-http": inClaims(({ iss }) => isText(iss) && /^http:/i.test(iss) && !/^http:\/\/(localhost|127\.[^/:]*|\[::1\])([:/]|$)/i.test(iss)),
	"sub-email": inClaims(({ sub }) => isText(sub) && mail.test(sub)),
	"personal-data": inClaims((claims, { kind }) => kind.id !== "id-token" && Object.keys(claims).filter((n) => personal.includes(n) || n !== "sub" && isText(claims[n]) && mail.test(claims[n])).join(", ")),
	"secret-claim": inClaims((claims) => secretNames.filter((n) => n in claims).join(", ")),
	"scope-list": inClaims((claims) => "scope" in claims && !isText(claims.scope)),
	"not-revocable": inClaims((claims, { kind }) => kind.id === "access-token" && !["jti", "sid", "status"].some((n) => n in claims)),
	"cnf-form": inClaims((claims) => "cnf" in claims && !boundKey(claims.cnf)),
	"cnf-proof": inClaims(({ cnf }, { token }) => boundKey(cnf) && !token.scheme && token.form !== "sd-jwt"),
	"cnf-bearer": inClaims(({ cnf }, { token }) => boundKey(cnf) && "jkt" in cnf && token.scheme === "bearer"),
	"proof-form": inClaims((claims, { kind, headers: [h] }) => kind.id === "dpop-proof" && (["htm", "htu", "jti"].find((n) => !filled(claims[n])) ?? proofKey(h, claims))),
	"disclosure": async ({ token }) => {
		if (token.form !== "sd-jwt") return;
		const problems = [...token.problems.filter((p) => p.startsWith("disclosure "))];
		await disclose(token, problems);
		return problems[0];
	},
};

// proofKey says what is wrong with the rest of a DPoP proof (RFC 9449 section 4.2).
function proofKey(header, claims) {
	if (typeof claims.iat !== "number") return "there is no iat";
	if (typOf(header) !== "dpop+jwt") return "typ is not dpop+jwt";
	if (!isSignature(header.alg) || header.alg.startsWith("HS")) return "it is not signed with a private key";
	if (secretPart(header.jwk)) return "jwk is private";
	const read = { keys: [], skipped: [] };
	addJWK(read, header.jwk, "jwk");
	return read.skipped[0] ?? (signs(header.alg)(header.jwk) && "jwk " + signs(header.alg)(header.jwk));
}

// innerOf returns the token that a signed token has as its payload (RFC 7519 section 5.2), or null.
function innerOf(signed) {
	const text = signed.payload.plain ?? "";
	return typOf({ typ: signed.header.cty }) === "jwt" || text.startsWith("eyJ") ? readToken(text) : null;
}

// guessed says which secret of the list made a signature, and not what it is: reports are kept
// where tokens are. The empty one is made of a zero: HMAC fills keys up with zeros anyway, and
// WebCrypto takes no empty key.
async function guessed({ joint, signature, input }) {
	if (!/^HS(256|384|512)$/.test(joint.alg) || !signature.bytes?.length) return "";
	const made = await Promise.all(["", ...SECRETS].map(async (secret) => {
		const key = await crypto.subtle.importKey("raw", secret ? utf8.encode(secret) : new Uint8Array(1), signing[joint.alg].as, false, ["verify"]);
		return crypto.subtle.verify("HMAC", key, signature.bytes, input);
	}));
	return made[0] ? "it is empty" : made.includes(true) ? "it is in the list of words and examples" : "";
}

const deepestToken = 4; // tokens in tokens

// lint returns what it finds, in the order of the rules: [{ rule, text }]. now is in seconds.
async function lint(token, now, key, depth = 0) {
	const signed = token.form === "jws" ? token : token.form === "sd-jwt" ? token.issued : null;
	// Of what cannot be read there is nothing to say but that.
	const readable = (signed || token.form === "jwe") && !inForm("form")({ token });
	const context = {
		token, signed, now, key, headers: !readable ? [] : (signed?.signatures ?? token.recipients).map((r) => r.joint),
		claims: readable && signed ? claimsOf(token) : null, inner: readable && signed ? innerOf(signed) : null,
		size: depth ? 0 : utf8.encode(token.text).length, ...kindOf(token),
	};
	if (context.inner) context.claims = null;
	const all = [];
	for (const rule of RULES) {
		if (!readable && rule.id !== "form") continue;
		const text = await lintChecks[rule.id]?.(context);
		if (text) all.push({ rule, text: isText(text) ? text : "" });
	}
	for (const inner of [context.inner, readable && token.binding]) {
		if (!inner || depth === deepestToken) continue;
		for (const { rule, text } of await lint(inner, now, key, depth + 1)) all.push({ rule, text: text + (text ? ", " : "") + "in the inner token" });
	}
	return all.sort((a, b) => RULES.indexOf(a.rule) - RULES.indexOf(b.rule));
}
