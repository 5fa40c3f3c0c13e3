// SD-JWT (RFC 9901): a signed token whose claims may be digests of disclosures that follow it.

const digests = { "sha-256": "SHA-256", "sha-384": "SHA-384", "sha-512": "SHA-512" };

function readSDJWT(token) {
	const { problems } = token;
	const parts = token.text.split("~");
	const binding = parts.pop();
	token.form = "sd-jwt";
	token.issued = readToken(parts[0]);
	if (token.issued.form !== "jws") {
		problems.push("what stands before the first ~ is no signed token");
		token.form = "unknown";
		return token;
	}
	problems.push(...token.issued.problems);
	problems.found = [...token.issued.problems.found ?? []];
	token.header = token.issued.header;
	token.bound = parts.join("~") + "~"; // what a key binding token has the digest of
	token.disclosures = parts.slice(1).map((text, i) => {
		const d = withJSON(part(text, "disclosure " + (i + 1), problems), problems, false);
		const v = d.json?.value;
		if (d.bytes && !(Array.isArray(v) && (v.length === 2 || v.length === 3 && isText(v[1])) && isText(v[0]))) {
			problems.push("disclosure " + (i + 1) + " is no list of salt, name and value");
			return { text, wrong: true };
		}
		return d.bytes ? { text, salt: v[0], name: v.length === 3 ? v[1] : null, value: v[v.length - 1] } : { text, wrong: true };
	});
	if (binding) {
		token.binding = readToken(binding);
		if (token.binding.form !== "jws" || token.binding.serialization !== "compact") problems.push("what stands behind the last ~ is no compact signed token");
		problems.push(...token.binding.problems.map((p) => "key binding: " + p));
	}
	return token;
}

// disclose puts the disclosures into the claims. It returns the claims, what is hidden, and marks
// each disclosure that the token has no digest of. Faults are added to problems.
async function disclose(token, problems) {
	const claims = token.issued.payload.json?.value;
	if (!isObject(claims)) {
		problems.push("the payload is no JSON object");
		return { claims: null, hidden: 0 };
	}
	const name = claims._sd_alg ?? "sha-256";
	const hash = Object.hasOwn(digests, name) ? digests[name] : null;
	if (!hash) {
		problems.push("_sd_alg is " + visible(JSON.stringify(name)) + ", which this page does not have");
		return { claims: null, hidden: 0 };
	}
	const known = new Map();
	for (const d of token.disclosures) {
		d.digest = base64url(await digest(hash, utf8.encode(d.text)));
		if (known.has(d.digest)) problems.push("a disclosure is there twice");
		if (!d.wrong) known.set(d.digest, d);
	}
	const seen = new Set();
	let hidden = 0;
	// find returns the disclosure of a digest. No digest may be there twice.
	const find = (text) => {
		if (!isText(text)) return void problems.push("a digest is no text");
		if (seen.has(text)) return void problems.push("a digest is in the token twice");
		seen.add(text);
		const d = known.get(text);
		if (!d) hidden++;
		return d;
	};
	const walk = (v, depth) => {
		if (depth > deepest) {
			problems.push("its disclosures are nested too deeply");
			return null;
		}
		if (Array.isArray(v)) {
			return v.flatMap((item) => {
				if (!isObject(item) || !("..." in item) || Object.keys(item).length !== 1) return [walk(item, depth + 1)];
				const d = find(item["..."]);
				if (!d) return [];
				d.used = true;
				if (d.name !== null) problems.push("a disclosure of a member stands for an item of a list");
				return [walk(d.value, depth + 1)];
			});
		}
		if (!isObject(v)) return v;
		const out = Object.create(null);
		for (const member of Object.keys(v)) {
			if (member !== "_sd" && !(depth === 0 && member === "_sd_alg")) out[member] = walk(v[member], depth + 1);
		}
		if (v._sd !== undefined && !Array.isArray(v._sd)) problems.push("_sd is no list");
		for (const text of Array.isArray(v._sd) ? v._sd : []) {
			const d = find(text);
			if (!d) continue;
			d.used = true;
			if (d.name === null) problems.push("a disclosure of an item stands for a member");
			else if (d.name === "_sd" || d.name === "...") problems.push("a disclosure has the name " + d.name);
			else if (d.name in out) problems.push("the disclosure " + visible(d.name) + " is about a claim that is there already");
			else out[d.name] = walk(d.value, depth + 1);
		}
		return out;
	};
	const result = walk(claims, 0);
	token.disclosures.forEach((d, i) => { if (!d.wrong && !d.used) problems.push("disclosure " + (i + 1) + " is not in the token: somebody else than the issuer added it"); });
	return { claims: result, hidden };
}

// verifyBinding checks the key binding token against the key that the issuer named in cnf.
async function verifyBinding(token, claims) {
	const { binding } = token;
	const header = binding.header ?? {}, said = binding.payload?.json?.value ?? {};
	if (header.typ !== "kb+jwt") refuse("The key binding token has not the typ kb+jwt.");
	const jwk = claims.cnf?.jwk;
	if (!isObject(jwk)) refuse("There is a key binding token, and the issuer named no key in cnf.jwk.");
	const found = { keys: [], skipped: [] };
	addJWK(found, jwk, "the key in cnf");
	let made;
	try {
		made = await verifySignature(binding, binding.signatures[0], found);
	} catch (e) {
		if (e instanceof Refusal) refuse("The key binding token is not good. " + e.message);
		throw e;
	}
	if (made.key.jwk.kty === "oct") refuse("The key binding token is signed with a shared secret.");
	const hash = digests[claims._sd_alg ?? "sha-256"];
	const want = base64url(await digest(hash, utf8.encode(token.bound)));
	if (said.sd_hash !== want) refuse("The key binding token is for another set of disclosures: its sd_hash is not " + want + ".");
	if (!isNumber(said.iat) || !isText(said.aud) || !isText(said.nonce)) refuse("The key binding token lacks iat, aud or nonce.");
	return { aud: said.aud, nonce: said.nonce, iat: said.iat };
}
