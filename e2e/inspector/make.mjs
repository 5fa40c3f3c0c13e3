// Prints a set of tokens that jose and @sd-jwt/core make, and broken ones, as JSON:
// [{ name, verb: "verify" or "decrypt", token, key, encoding, good, payload }]. What is good must be
// accepted with payload as its content, and what is not must be refused. jose is asked about each
// broken one; "strict" marks those that it accepts, and that a careful reader refuses.
import "./node18.mjs";
import * as jose from "jose";
import { SDJwtInstance } from "@sd-jwt/core";
import { createHash, randomBytes } from "node:crypto";

const text = new TextEncoder(), bytes = (s) => text.encode(s), b64 = (b) => jose.base64url.encode(b);
const out = [], json = JSON.stringify;
const now = Math.floor(Date.now() / 1000);
let n = 0;
const claims = () => json({ iss: "https://issuer.example", sub: "user-" + n++, aud: ["https://api.example", "x"], iat: now, exp: now + 300.5, note: "ä\u202e\u{1f600} <b>" });
const add = (name, verb, token, key, payload, more) => out.push({ name, verb, token, key: typeof key === "string" ? key : json(key), encoding: "text", good: payload !== null, payload, ...more });

const signAlgs = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"];
const keys = {};
for (const alg of signAlgs) {
	if (alg.startsWith("HS")) {
		const secret = randomBytes(Number(alg.slice(2)) / 8);
		keys[alg] = { private: secret, public: secret, jwk: { kty: "oct", k: b64(secret), kid: alg } };
	} else {
		const pair = await jose.generateKeyPair(alg, { extractable: true });
		const strip = async (k) => ({ ...(await jose.exportJWK(k)), kid: alg });
		keys[alg] = { private: pair.privateKey, public: pair.publicKey, jwk: await strip(pair.publicKey), secret: await strip(pair.privateKey), pem: await jose.exportSPKI(pair.publicKey) };
	}
}
const anyKid = (jwk) => { const { kid, ...rest } = jwk; return rest; };
const allKeys = { keys: Object.values(keys).map((k) => k.jwk) };
const compact = (alg, payload, header = {}) => new jose.CompactSign(bytes(payload)).setProtectedHeader({ alg, kid: alg, ...header }).sign(keys[alg].private);

for (const alg of signAlgs) {
	const k = keys[alg];
	let p = claims();
	add(alg + " jwk", "verify", await compact(alg, p, { typ: "at+jwt" }), { ...k.jwk, alg, use: "sig" }, p);
	p = claims();
	add(alg + " set with all keys, no alg", "verify", await compact(alg, p), allKeys, p);
	p = claims();
	add(alg + " set without kid", "verify", await compact(alg, p), { keys: allKeys.keys.map(anyKid) }, p);
	p = claims();
	add(alg + " flattened", "verify", json(await new jose.FlattenedSign(bytes(p)).setProtectedHeader({ alg }).setUnprotectedHeader({ kid: alg }).sign(k.private)), k.jwk, p);
	p = claims();
	add(alg + " general", "verify", json(await new jose.GeneralSign(bytes(p)).addSignature(keys.ES256.private).setProtectedHeader({ alg: "ES256", kid: "ES256" }).addSignature(k.private).setProtectedHeader({ alg, kid: alg }).sign()), anyKid(k.jwk), p);
	if (k.pem) {
		p = claims();
		add(alg + " pem", "verify", await compact(alg, p), k.pem, p);
	} else {
		p = claims();
		add(alg + " secret in hexadecimal", "verify", await compact(alg, p), k.private.toString("hex"), p, { encoding: "hex" });
	}
}

const encs = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"];
const sizes = { A128GCM: 16, A192GCM: 24, A256GCM: 32, "A128CBC-HS256": 32, "A192CBC-HS384": 48, "A256CBC-HS512": 64 };
const oct = (size) => { const secret = randomBytes(size); return { to: secret, from: { kty: "oct", k: b64(secret) } }; };
const pair = async (alg, crv) => {
	const p = await jose.generateKeyPair(alg, { extractable: true, crv });
	return { to: p.publicKey, from: await jose.exportJWK(p.privateKey), pem: await jose.exportPKCS8(p.privateKey) };
};
const encrypted = {};
async function seal(alg, enc, k, header = {}) {
	const p = claims();
	const made = new jose.CompactEncrypt(bytes(p)).setProtectedHeader({ alg, enc, ...header });
	if (alg.startsWith("PBES2")) made.setKeyManagementParameters({ p2c: 2000 });
	const token = await made.encrypt(k.to);
	if (!header.zip) encrypted[alg + " " + enc] = { token, key: k.from, payload: p };
	add([alg, enc, k.from.crv ?? ""].join(" ").trim(), "decrypt", token, k.from, p);
	return token;
}
for (const enc of encs) {
	await seal("dir", enc, oct(sizes[enc]));
	for (const size of [128, 192, 256]) {
		await seal(`A${size}KW`, enc, oct(size / 8));
		await seal(`A${size}GCMKW`, enc, oct(size / 8));
	}
	for (const crv of ["P-256", "P-384", "P-521", "X25519"]) await seal("ECDH-ES", enc, await pair("ECDH-ES", crv), { apu: "QWxpY2U", apv: "Qm9i" });
	await seal("dir", enc, oct(sizes[enc]), { zip: "DEF" });
	await seal("RSA-OAEP", enc, await pair("RSA-OAEP"));
	await seal("RSA-OAEP-256", enc, await pair("RSA-OAEP-256"));
}
for (const alg of ["RSA-OAEP-384", "RSA-OAEP-512"]) await seal(alg, "A256GCM", await pair(alg));
for (const [alg, crv] of [["ECDH-ES", "P-256"], ["ECDH-ES", "P-384"], ["ECDH-ES", "P-521"], ["ECDH-ES", "X25519"], ["RSA-OAEP"]]) {
	const k = await pair(alg, crv);
	await seal(alg, "A128GCM", { ...k, from: k.pem });
}
for (const size of [128, 192, 256]) {
	for (const crv of ["P-256", "P-384", "P-521", "X25519"]) await seal(`ECDH-ES+A${size}KW`, "A256GCM", await pair("ECDH-ES", crv));
}
for (const [alg, size] of [["PBES2-HS256+A128KW", 16], ["PBES2-HS384+A192KW", 16], ["PBES2-HS512+A256KW", 16]]) {
	const password = b64(randomBytes(size)), p = claims();
	const token = await new jose.CompactEncrypt(bytes(p)).setProtectedHeader({ alg, enc: "A128CBC-HS256" }).setKeyManagementParameters({ p2c: 4096 }).encrypt(bytes(password));
	add(alg, "decrypt", token, password, p);
	encrypted[alg] = { token, key: password, payload: p };
}
{
	const a = await pair("ECDH-ES", "P-256"), b = await pair("RSA-OAEP-256");
	for (const [name, k] of [["first", a], ["second", b]]) {
		const p = claims();
		const token = await new jose.GeneralEncrypt(bytes(p)).setProtectedHeader({ enc: "A256GCM" }).setAdditionalAuthenticatedData(bytes("seen by all"))
			.addRecipient(a.to).setUnprotectedHeader({ alg: "ECDH-ES+A256KW", kid: "a" }).addRecipient(b.to).setUnprotectedHeader({ alg: "RSA-OAEP-256", kid: "b" }).encrypt();
		add("general, for the " + name, "decrypt", json(token), k.from, p);
		add("general, for the " + name + ", pem", "decrypt", json(token), k.pem, p);
	}
	const p = claims();
	const flat = await new jose.FlattenedEncrypt(bytes(p)).setProtectedHeader({ alg: "ECDH-ES", enc: "A128GCM" }).setAdditionalAuthenticatedData(bytes("aad")).encrypt(a.to);
	add("flattened with additional data", "decrypt", json(flat), a.from, p);
	encrypted.flat = { token: flat, key: a.from };
	const inner = await compact("ES256", claims(), { typ: "JWT" });
	const nested = await new jose.CompactEncrypt(bytes(inner)).setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM", cty: "JWT" }).encrypt(a.to);
	add("nested", "decrypt", nested, a.from, inner);
}

// SD-JWT.
const sdKey = keys.ES256, holder = keys.ES384;
const signer = (key, alg) => async (data) => b64(new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-" + alg.slice(2) }, key, bytes(data))));
const sd = new SDJwtInstance({
	signer: signer(sdKey.private, "ES256"), signAlg: "ES256", kbSigner: signer(holder.private, "ES384"), kbSignAlg: "ES384",
	hasher: (data, alg) => new Uint8Array(createHash(alg.replace("-", "")).update(data).digest()), hashAlg: "sha-256",
	saltGenerator: () => b64(randomBytes(16)), omitTyp: false,
});
const person = () => ({ iss: "https://issuer.example", iat: now, cnf: { jwk: anyKid(holder.jwk) }, given_name: "Ada" + n++, family_name: "L", address: { street: "x", country: "GB" }, nationalities: ["GB", "FR"] });
const frame = { _sd: ["given_name", "family_name", "address"], address: { _sd: ["street", "country"] }, nationalities: { _sd: [0, 1] } };
const sdTokens = [];
for (const [name, shown] of [["all", { given_name: true, family_name: true, address: { street: true, country: true }, nationalities: { 0: true, 1: true } }], ["some", { given_name: true, address: { country: true } }], ["none", {}], ["one of a list", { nationalities: { 1: true } }]]) {
	for (const bind of [false, true]) {
		const issued = await sd.issue(person(), frame, { header: { kid: "ES256", typ: "dc+sd-jwt" } });
		const token = await sd.present(issued, shown, bind ? { kb: { payload: { iat: now, aud: "https://api.example", nonce: "n-1" } } } : undefined);
		const payload = json(await sd.getClaims(token));
		add("SD-JWT, " + name + (bind ? ", bound" : ""), "verify", token, sdKey.jwk, payload, { sdjwt: true });
		sdTokens.push({ token, issued, bind, name });
	}
}

// Broken ones.
const jwk = keys.ES256.jwk;
const good = await compact("ES256", claims(), { typ: "at+jwt" });
const parts = (t) => t.split(".");
const join = (t, i, f) => parts(t).map((p, j) => (j === i ? f(p) : p)).join(".");
const flip = (p, at) => { const b = jose.base64url.decode(p); b[at ?? Math.floor(b.length / 2)] ^= 1; return b64(b); };
const cut = (p, by = 1) => b64(jose.base64url.decode(p).slice(0, -by));
const head = (t, change) => join(t, 0, (p) => b64(bytes(json({ ...JSON.parse(new TextDecoder().decode(jose.base64url.decode(p))), ...change }))));
const bad = (name, verb, token, key = jwk, more) => add("broken: " + name, verb, token, key, null, more);
const signed = async (header, payload, alg = "ES256") => {
	const input = b64(bytes(header)) + "." + b64(bytes(payload));
	return input + "." + b64(new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys[alg].private, bytes(input))));
};
const der = (raw) => { // the other spelling of ECDSA signatures
	const int = (b) => { b = [...b]; while (b.length > 1 && b[0] === 0) b.shift(); if (b[0] & 128) b.unshift(0); return [2, b.length, ...b]; };
	const all = [...int(raw.slice(0, 32)), ...int(raw.slice(32))];
	return Uint8Array.from([48, all.length, ...all]);
};
for (let i = 0; i < 3; i++) bad("part " + i + " changed", "verify", join(good, i, (p) => flip(p)));
for (const alg of signAlgs) bad(alg + ", signature changed", "verify", join(await compact(alg, claims()), 2, (p) => flip(p)), keys[alg].jwk);
bad("no signature", "verify", join(good, 2, () => ""));
bad("short signature", "verify", join(good, 2, (p) => cut(p)));
bad("long signature", "verify", join(good, 2, (p) => b64(new Uint8Array([...jose.base64url.decode(p), 0]))));
bad("DER signature", "verify", join(good, 2, (p) => b64(der(jose.base64url.decode(p)))));
bad("zero signature", "verify", join(good, 2, () => b64(new Uint8Array(64))));
for (const alg of ["none", "nOnE", "ES384", "HS256", "", 256]) bad("alg " + json(alg), "verify", head(good, { alg }));
bad("alg none without signature", "verify", join(head(good, { alg: "none" }), 2, () => ""));
{
	const input = b64(bytes(json({ alg: "HS256" }))) + "." + b64(bytes(claims()));
	const mac = await crypto.subtle.importKey("raw", bytes(keys.RS256.pem), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	bad("HMAC by the public key", "verify", input + "." + b64(new Uint8Array(await crypto.subtle.sign("HMAC", mac, bytes(input)))), keys.RS256.pem);
}
bad("another key", "verify", good, { ...keys.ES384.jwk });
bad("another key of the same kind", "verify", good, anyKid(await jose.exportJWK((await jose.generateKeyPair("ES256", { extractable: true })).publicKey)));
bad("its own jwk in the header", "verify", await signed(json({ alg: "ES256", kid: "ES384", jwk: anyKid(jwk) }), claims()), keys.ES384.jwk);
bad("crit", "verify", await signed(json({ alg: "ES256", crit: ["x"], x: 1 }), claims()));
bad("empty crit", "verify", await signed(json({ alg: "ES256", crit: [] }), claims()));
bad("two alg", "verify", await signed('{"alg":"none","alg":"ES256"}', claims()), jwk, { strict: true });
bad("two sub", "verify", await signed('{"alg":"ES256"}', '{"sub":"a","sub":"b"}'), jwk, { strict: true });
bad("text behind the claims", "verify", await signed('{"alg":"ES256"}', '{"sub":"a"}{}'), jwk, { strict: true });
bad("unused bits", "verify", join(good, 2, (p) => p.slice(0, -1) + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".indexOf(p.at(-1)) ^ 1]), jwk, { strict: true });
bad("padding", "verify", good + "==", jwk, { strict: true });
bad("a line break inside", "verify", join(good, 1, (p) => p.slice(0, 9) + "\n" + p.slice(9)), jwk, { strict: true });
bad("two parts", "verify", parts(good).slice(0, 2).join("."));
bad("four parts", "verify", good + ".AAAA");
bad("expired", "verify", await compact("ES256", json({ exp: now - 3600 })), jwk, { strict: true });
bad("not yet", "verify", await compact("ES256", json({ nbf: now + 3600 })), jwk, { strict: true });
bad("exp as text", "verify", await compact("ES256", json({ exp: String(now + 3600) })), jwk, { strict: true });

const box = encrypted["ECDH-ES+A256KW A256GCM"] ?? encrypted["ECDH-ES A256GCM"];
for (const [i, name] of ["header", "encrypted key", "initialization vector", "ciphertext", "tag"].entries()) bad("JWE, " + name + " changed", "decrypt", join(box.token, i, (p) => flip(p)), box.key);
bad("JWE, short tag", "decrypt", join(box.token, 4, (p) => cut(p, 4)), box.key);
bad("JWE, no tag", "decrypt", join(box.token, 4, () => ""), box.key);
for (const enc of encs) bad("JWE, " + enc + ", tag changed", "decrypt", join(encrypted["dir " + enc].token, 4, (p) => flip(p)), encrypted["dir " + enc].key);
for (const alg of ["A128KW", "A192KW", "A192GCMKW"]) bad("JWE, " + alg + ", key changed", "decrypt", join(encrypted[alg + " A128GCM"].token, 1, (p) => flip(p)), encrypted[alg + " A128GCM"].key);
bad("JWE, CBC cut", "decrypt", join(encrypted["dir A192CBC-HS384"].token, 3, (p) => cut(p, 16)), encrypted["dir A192CBC-HS384"].key);
bad("JWE, dir with an encrypted key", "decrypt", join(encrypted["dir A256GCM"].token, 1, () => "AAAA"), encrypted["dir A256GCM"].key);
bad("JWE, point not on the curve", "decrypt", head(box.token, { epk: { kty: "EC", crv: "P-256", x: b64(new Uint8Array(32).fill(1)), y: b64(new Uint8Array(32).fill(2)) } }), box.key);
bad("JWE, RSA1_5", "decrypt", head(encrypted["RSA-OAEP A256GCM"].token, { alg: "RSA1_5" }), encrypted["RSA-OAEP A256GCM"].key);
bad("JWE, too many rounds", "decrypt", head(encrypted["PBES2-HS256+A128KW"].token, { p2c: 1_000_001 }), encrypted["PBES2-HS256+A128KW"].key);
bad("JWE, additional data changed", "decrypt", json({ ...encrypted.flat.token, aad: b64(bytes("AAD")) }), encrypted.flat.key);
{
	const k = oct(32), zip = (size) => new jose.CompactEncrypt(new Uint8Array(size).fill(97)).setProtectedHeader({ alg: "dir", enc: "A256GCM", zip: "DEF" }).encrypt(k.to);
	add("as much as unpacks", "decrypt", await zip(250_000), k.from, "a".repeat(250_000));
	bad("JWE, unpacks to too much", "decrypt", await zip(250_001), k.from);
	bad("JWE, unpacks to far too much", "decrypt", await zip(50_000_000), k.from);
}
bad("JWE, crit", "decrypt", head(box.token, { crit: ["x"], x: 1 }), box.key);

const sdAll = sdTokens.find((t) => t.name === "all" && !t.bind).token.split("~"), bound = sdTokens.find((t) => t.name === "all" && t.bind).token;
const sdBad = (name, token) => bad("SD-JWT, " + name, "verify", token, sdKey.jwk, { sdjwt: true });
sdBad("a disclosure changed", sdAll.map((p, i) => (i === 1 ? b64(bytes(json(["salt", "given_name", "Eve"]))) : p)).join("~"));
sdBad("a disclosure twice", [sdAll[0], sdAll[1], sdAll[1], ""].join("~"));
sdBad("a disclosure added", [...sdAll.slice(0, -1), b64(bytes(json(["salt", "admin", true]))), ""].join("~"));
sdBad("a disclosure is no list", [...sdAll.slice(0, -1), b64(bytes("{}")), ""].join("~"));
sdBad("bound to other disclosures", bound.split("~").filter((_, i) => i !== 1).join("~"));
sdBad("bound by another key", bound.split("~").map((p, i, all) => (i === all.length - 1 ? flip2(p) : p)).join("~"));
sdBad("the signature changed", [join(sdAll[0], 2, (p) => flip(p)), ...sdAll.slice(1)].join("~"));
function flip2(p) { return join(p, 2, (s) => flip(s)); }

// jose judges the broken ones, and the good ones that this file did not make with it.
for (const c of out.filter((c) => !c.good && !c.sdjwt)) {
	let accepted = true;
	try {
		const { alg } = JSON.parse(new TextDecoder().decode(jose.base64url.decode(c.token.startsWith("{") ? JSON.parse(c.token).protected : c.token.split(".")[0])));
		const key = c.key.startsWith("-----") ? await jose.importSPKI(c.key, "RS256") : c.key.startsWith("{") ? await jose.importJWK(JSON.parse(c.key), alg) : bytes(c.key);
		if (c.verb === "decrypt") {
			const options = { keyManagementAlgorithms: [alg], maxPBES2Count: 1e6 };
			c.token.startsWith("{") ? await jose.flattenedDecrypt(JSON.parse(c.token), key, options) : await jose.compactDecrypt(c.token, key, options);
		} else await jose.compactVerify(c.token, key);
	} catch {
		accepted = false;
	}
	if (accepted !== Boolean(c.strict) && accepted) throw new Error("jose accepts: " + c.name);
}
const made = out.filter((c) => c.good).length;
if (made < 200 || out.length - made < 60) throw new Error(`${made} good ones and ${out.length - made} broken ones`);
process.stdout.write(json(out));
