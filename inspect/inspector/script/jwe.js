// Encryption (RFC 7516, RFC 7518 sections 4 and 5, RFC 8037). What cannot be opened is refused with
// one text, whatever the reason is.

const mostRounds = 1_000_000, mostPlain = 250_000, rounds = 600_000;
const contents = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"];
const keyAlgs = ["dir", "A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW",
	"ECDH-ES+A256KW", "RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512", "PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"];

const contentKeyBytes = (enc) => enc.includes("CBC") ? Number(enc.slice(-3)) / 8 : Number(enc.slice(1, 4)) / 8;
const unopened = "It does not open: another key made it, or it was changed.";

// opens tells why a key cannot be for alg; empty: it can.
const opens = (alg, enc) => (jwk) => {
	const kty = alg.startsWith("RSA") ? ["RSA"] : alg.startsWith("ECDH") ? ["EC", "OKP"] : ["oct"];
	if (!kty.includes(jwk.kty)) return "is " + kinds[jwk.kty] + ", and " + alg + " needs " + kty.map((k) => kinds[k]).join(" or ");
	if (jwk.crv === "Ed25519") return "is for signatures";
	const need = alg === "dir" ? contentKeyBytes(enc) * 8 : /^A\d/.test(alg) ? Number(alg.slice(1, 4)) : 0;
	return need && bits(jwk) !== need ? "has " + bits(jwk) + " bits, and " + (alg === "dir" ? enc : alg) + " needs " + need : "";
};

async function aesKey(raw, name, usages) {
	return crypto.subtle.importKey("raw", raw, { name }, false, usages);
}

async function seal(enc, key, iv, plain, aad) {
	if (enc.endsWith("GCM")) {
		if (key.length === 24) {
			const { out, tag } = gcm192(key, iv, plain, aad, true);
			return { ciphertext: out, tag };
		}
		const as = { name: "AES-GCM", iv, additionalData: aad };
		const all = new Uint8Array(await crypto.subtle.encrypt(as, await aesKey(key, "AES-GCM", ["encrypt"]), plain));
		return { ciphertext: all.slice(0, -16), tag: all.slice(-16) };
	}
	const half = key.length / 2, secret = key.slice(half);
	const ciphertext = half === 24 ? cbc192(secret, iv, plain, true)
		: new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, await aesKey(secret, "AES-CBC", ["encrypt"]), plain));
	return { ciphertext, tag: await cbcTag(enc, key, iv, ciphertext, aad) };
}

// cbcTag is the authentication tag of AES-CBC with HMAC (RFC 7518 section 5.2.2).
async function cbcTag(enc, key, iv, ciphertext, aad) {
	const half = key.length / 2;
	const mac = await crypto.subtle.importKey("raw", key.slice(0, half), { name: "HMAC", hash: hashOf(enc) }, false, ["sign"]);
	return new Uint8Array(await crypto.subtle.sign("HMAC", mac, concat(aad, iv, ciphertext, big(aad.length * 8, 8)))).slice(0, half);
}

// unseal returns the plain bytes, or null. It looks at the tag first.
async function unseal(enc, key, iv, ciphertext, tag, aad) {
	try {
		if (enc.endsWith("GCM")) {
			if (iv.length !== 12 || tag.length !== 16) return null;
			if (key.length === 24) {
				const got = gcm192(key, iv, ciphertext, aad, false);
				return same(got.tag, tag) ? got.out : null;
			}
			const as = { name: "AES-GCM", iv, additionalData: aad };
			return new Uint8Array(await crypto.subtle.decrypt(as, await aesKey(key, "AES-GCM", ["decrypt"]), concat(ciphertext, tag)));
		}
		if (iv.length !== 16 || !same(tag, await cbcTag(enc, key, iv, ciphertext, aad))) return null;
		const half = key.length / 2, secret = key.slice(half);
		if (half === 24) return cbc192(secret, iv, ciphertext, false);
		return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, await aesKey(secret, "AES-CBC", ["decrypt"]), ciphertext));
	} catch {
		return null;
	}
}

// The key that is wrapped is called an HMAC key: WebCrypto takes those of any length.
const anyKey = { name: "HMAC", hash: "SHA-256" };

async function wrap(kek, key) {
	if (kek.length === 24) return wrap192(kek, key);
	const inner = await crypto.subtle.importKey("raw", key, anyKey, true, ["sign"]);
	return new Uint8Array(await crypto.subtle.wrapKey("raw", inner, await aesKey(kek, "AES-KW", ["wrapKey"]), "AES-KW"));
}

async function unwrap(kek, wrapped) {
	if (kek.length === 24) return unwrap192(kek, wrapped);
	try {
		const inner = await crypto.subtle.unwrapKey("raw", wrapped, await aesKey(kek, "AES-KW", ["unwrapKey"]), "AES-KW", anyKey, true, ["sign"]);
		return new Uint8Array(await crypto.subtle.exportKey("raw", inner));
	} catch {
		return null;
	}
}

const sized = (bytes) => concat(big(bytes.length, 4), bytes);

// agree is the key agreement of RFC 7518 section 4.6: ECDH, then the Concat KDF of SP 800-56A.
async function agree(alg, enc, mine, theirs, apu, apv) {
	const as = mine.kty === "OKP" ? { name: "X25519" } : { name: "ECDH", namedCurve: mine.crv };
	const secret = await importJWK(mine, as, true, ["deriveBits"]);
	let z;
	try {
		z = new Uint8Array(await crypto.subtle.deriveBits({ ...as, public: await importJWK(theirs, as, false, []) }, secret, mine.kty === "OKP" ? 256 : ecCurves[mine.crv] * 8));
	} catch {
		refuse(unopened);
	}
	const direct = alg === "ECDH-ES", bytes = direct ? contentKeyBytes(enc) : Number(alg.slice(-5, -2)) / 8;
	const info = concat(sized(utf8.encode(direct ? enc : alg)), sized(apu), sized(apv), big(bytes * 8, 4));
	let out = new Uint8Array();
	for (let i = 1; out.length < bytes; i++) out = concat(out, await digest("SHA-256", concat(big(i, 4), z, info)));
	return out.slice(0, bytes);
}

async function stretch(alg, password, salt, count) {
	const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
	const as = { name: "PBKDF2", hash: "SHA-" + alg.slice(8, 11), iterations: count, salt: concat(utf8.encode(alg), Uint8Array.of(0), salt) };
	return new Uint8Array(await crypto.subtle.deriveBits(as, key, Number(alg.slice(-5, -2))));
}

const oaep = (alg) => ({ name: "RSA-OAEP", hash: alg === "RSA-OAEP" ? "SHA-1" : hashOf(alg) });

// member reads a member of the header as base64url.
function member(header, name, must) {
	if (header[name] === undefined && !must) return new Uint8Array();
	if (!isText(header[name])) refuse("Its header has no " + name + " that can be read.");
	let read;
	try {
		read = fromBase64url(header[name]);
	} catch (e) {
		refuse("The " + name + " of its header " + e.message + ".");
	}
	return read.bytes;
}

// contentKey opens the encrypted key of a recipient; null: this key does not.
async function contentKey(alg, enc, joint, encrypted, jwk) {
	const secret = jwk.kty === "oct" ? fromBase64url(jwk.k).bytes : null;
	if ((alg === "dir" || alg === "ECDH-ES") && encrypted.length) refuse("It has an encrypted key, which " + alg + " does not.");
	if (alg === "dir") return secret;
	if (alg.startsWith("PBES2")) {
		return unwrap(await stretch(alg, secret, member(joint, "p2s", true), joint.p2c), encrypted);
	}
	if (alg.endsWith("GCMKW")) {
		return unseal(alg.slice(0, -2), secret, member(joint, "iv", true), encrypted, member(joint, "tag", true), new Uint8Array());
	}
	if (/^A\d{3}KW$/.test(alg)) return unwrap(secret, encrypted);
	if (alg.startsWith("RSA")) {
		const key = await importJWK(jwk, oaep(alg), true, ["decrypt"]);
		return crypto.subtle.decrypt("RSA-OAEP", key, encrypted).then((b) => new Uint8Array(b), () => null);
	}
	const { epk } = joint;
	if (!isObject(epk) || epk.kty !== jwk.kty || epk.crv !== jwk.crv) refuse("Its epk is not on the curve of the key.");
	const key = await agree(alg, enc, jwk, epk, member(joint, "apu"), member(joint, "apv"));
	return alg === "ECDH-ES" ? key : unwrap(key, encrypted);
}

// decrypt returns { plain, key, alg, enc, zip, skipped }.
async function decrypt(token, found) {
	if (token.form !== "jwe") refuse(token.form === "jws" || token.form === "sd-jwt" ? "It is signed, not encrypted: everybody can read it. See Decode." : "It is no encrypted token.");
	if (token.problems.length) refuse("Its form is wrong: " + token.problems[0] + ".");
	let last, skipped = [];
	for (const recipient of token.recipients) {
		try {
			return await decryptFor(token, recipient, found, skipped);
		} catch (e) {
			if (!(e instanceof Refusal)) throw e;
			last = e;
		}
	}
	last.skipped = skipped;
	throw last;
}

async function decryptFor(token, recipient, found, skipped) {
	const { joint } = recipient, { alg, enc, zip } = joint;
	if (!isText(alg) || !isText(enc)) refuse("Its header does not name alg and enc.");
	uncritical(joint);
	if (alg === "RSA1_5") refuse("Its alg is RSA1_5, which is unsafe: who can ask a server again and again whether such a token opens can read it without the key (Bleichenbacher, 1998). Browsers do not have it, and neither does this page.");
	if (!keyAlgs.includes(alg)) refuse("Its alg is " + visible(alg) + ", which is none of this page.");
	if (!contents.includes(enc)) refuse("Its enc is " + visible(enc) + ", which is none of this page.");
	if (zip !== undefined && (zip !== "DEF" || recipient.unprotected.zip !== undefined)) refuse("Its zip is " + visible(JSON.stringify(zip)) + ": only DEF is there, in the protected header.");
	if (alg.startsWith("PBES2")) {
		if (!Number.isInteger(joint.p2c) || joint.p2c < 1) refuse("Its p2c is no number of rounds.");
		if (joint.p2c > mostRounds) refuse("It asks for " + joint.p2c + " rounds of PBES2. More than 1 000 000 are refused: they would keep this browser busy.");
	}
	const fit = fitting(found, alg === "dir" ? enc : alg, joint.kid, opens(alg, enc), "enc");
	skipped.push(...fit.skipped);
	for (const k of fit.keys) {
		const name = called(k.jwk, k.from);
		if (k.jwk.kty !== "oct" && !isPrivate(k.jwk)) {
			skipped.push(name + " is public: with that one encrypts");
			continue;
		}
		const key = await contentKey(alg, enc, joint, recipient.key.bytes, k.jwk).catch((e) => {
			if (!(e instanceof Refusal)) throw e;
			skipped.push(name + ": " + e.message);
			return undefined;
		});
		if (key === undefined) continue;
		const plain = key && key.length === contentKeyBytes(enc) ? await unseal(enc, key, token.iv.bytes, token.ciphertext.bytes, token.tag.bytes, token.aad) : null;
		if (!plain) {
			skipped.push(name + " does not open it");
			continue;
		}
		return { plain: zip ? await inflate(plain, "deflate-raw", mostPlain) : plain, key: k, alg, enc, zip, skipped };
	}
	refuse(fit.keys.length ? unopened : "No key fits its alg, " + alg + ".");
}

// encrypt returns a compact token, or a flattened one.
async function encrypt(header, plain, jwk, form = "compact") {
	const { alg, enc } = header;
	if (alg === "RSA1_5") refuse("RSA1_5 is unsafe, and not made here: take RSA-OAEP-256.");
	if (!keyAlgs.includes(alg) || !contents.includes(enc)) refuse("There is no such alg or enc.");
	const why = opens(alg, enc)(jwk);
	if (why) refuse("The key " + why + ".");
	const head = { ...header };
	const secret = jwk.kty === "oct" ? fromBase64url(jwk.k).bytes : null;
	let key = random(contentKeyBytes(enc)), encrypted = new Uint8Array();
	if (alg === "dir") key = secret;
	else if (alg.startsWith("PBES2")) {
		const salt = random(16);
		Object.assign(head, { p2s: base64url(salt), p2c: head.p2c ?? rounds });
		if (!Number.isInteger(head.p2c) || head.p2c < 1 || head.p2c > mostRounds) refuse("p2c must be a number up to 1 000 000.");
		encrypted = await wrap(await stretch(alg, secret, salt, head.p2c), key);
	} else if (alg.endsWith("GCMKW")) {
		const iv = random(12), sealed = await seal(alg.slice(0, -2), secret, iv, key, new Uint8Array());
		Object.assign(head, { iv: base64url(iv), tag: base64url(sealed.tag) });
		encrypted = sealed.ciphertext;
	} else if (/^A\d{3}KW$/.test(alg)) encrypted = await wrap(secret, key);
	else if (alg.startsWith("RSA")) {
		encrypted = new Uint8Array(await crypto.subtle.encrypt("RSA-OAEP", await importJWK(jwk, oaep(alg), false, ["encrypt"]), key));
	} else {
		const once = await generated(jwk.kty === "OKP" ? { name: "X25519" } : { name: "ECDH", namedCurve: jwk.crv }, ["deriveBits"]);
		head.epk = bare(once, false);
		const agreed = await agree(alg, enc, once, jwk, member(head, "apu"), member(head, "apv"));
		if (alg === "ECDH-ES") key = agreed;
		else encrypted = await wrap(agreed, key);
	}
	const protectedPart = base64url(utf8.encode(JSON.stringify(head)));
	const iv = random(enc.endsWith("GCM") ? 12 : 16);
	const sealed = await seal(enc, key, iv, head.zip === "DEF" ? await deflate(plain) : plain, utf8.encode(protectedPart));
	const parts = { protected: protectedPart, encrypted_key: base64url(encrypted), iv: base64url(iv), ciphertext: base64url(sealed.ciphertext), tag: base64url(sealed.tag) };
	if (form === "compact") return Object.values(parts).join(".");
	if (!encrypted.length) delete parts.encrypted_key;
	return JSON.stringify(parts, null, 1);
}
