// Verifying: the signature, then what the person expects, then the times. The report says of each
// check whether it was good, bad, or not made.

const leeway = 30; // seconds, for clocks that differ

// verify returns { checks: [[state, text]], claims, skipped, title }, or throws the reason why the
// token is refused. want has texts: key, encoding, alg, typ, iss, aud; now is in seconds.
async function verify(text, want, now) {
	const token = readToken(text);
	switch (token.form) {
	case "opaque": refuse("It is opaque: only its issuer can tell what it stands for.");
	case "jwe": refuse("It is encrypted. Open it under Decrypt first, and verify what is inside.");
	case "unknown": refuse(token.text ? "It is no token: " + token.problems[0] + "." : "There is no token.");
	}
	const signed = token.form === "sd-jwt" ? token.issued : token;
	if (token.problems.length) refuse("Its form is wrong: " + token.problems[0] + ".");
	// Only a compact proof is one (RFC 9449 section 4.2): all of its header is signed.
	const proof = !want.key.trim() && token.serialization === "compact" && typOf(token.header) === "dpop+jwt";
	const found = proof ? { keys: [], skipped: [] } : await readKeys(want.key, want.encoding);
	if (proof) {
		if (!isObject(token.header.jwk)) refuse("A DPoP proof has its key in jwk, and this one has none.");
		if (isPrivate(token.header.jwk) || token.header.jwk.kty === "oct") refuse("The key in jwk is private: everybody who sees the proof has it.");
		addJWK(found, token.header.jwk, "the key in jwk");
	}
	const report = { title: "Verified", checks: [], skipped: [], token };
	const { made, number } = await anySignature(signed, found, want.alg);
	const { header, unprotected } = signed.signatures[number - 1];
	report.skipped = made.skipped;
	const { jwk } = made.key;
	const which = signed.signatures.length > 1 ? ", signature " + number + " of " + signed.signatures.length : "";
	report.checks.push(["good", "Signature: " + made.alg + " by " + called(jwk, made.key.from) + which + (jwk.kty === "oct" ? "" : ", thumbprint " + await thumbprint(jwk))]);
	if (unprotected) report.checks.push(["none", "The unprotected header is not signed: " + Object.keys(unprotected).join(", ")]);
	if (jwk.note) report.checks.push(["none", "Certificate: " + jwk.note + ". Who issued it is not checked"]);
	if (jwk.kty === "RSA" && bits(jwk) < 2048) report.checks.push(["none", "The RSA key has " + bits(jwk) + " bits only: it can be broken"]);
	if (proof) report.checks.push(["none", "The proof brings its own key. It is worth something only if the access token names the same thumbprint in cnf.jkt"]);
	if (jwk.kty === "oct") report.checks.push(["none", "Whoever can verify it can also make it: the secret is shared"]);

	let claims = signed.payload.json?.value, shownTo = claims?.aud; // whom it is for
	if (token.form === "sd-jwt") {
		const problems = [];
		const said = await disclose(token, problems);
		if (problems.length) refuse("Its disclosures are wrong: " + problems[0] + ".");
		report.checks.push(["good", "Disclosures: " + token.disclosures.length + ", each of them signed for. " + said.hidden + " digests stay hidden"]);
		if (token.binding) {
			const b = await verifyBinding(token, claims);
			shownTo = b.aud; // this presentation is
			report.checks.push(["good", "Key binding: made for " + b.aud + " with the nonce " + b.nonce]);
			report.checks.push(["none", "Compare this nonce with yours"]);
		} else report.checks.push(["none", "Key binding: there is none, so whoever has it can show it"]);
		claims = said.claims;
	}
	report.claims = claims;
	expectations(report, { typ: header.json?.value.typ, iss: isObject(claims) ? claims.iss : undefined, aud: shownTo }, want);
	if (isObject(claims)) timesOf(report, claims, now);
	const bad = report.checks.find(([state]) => state === "bad");
	if (bad) {
		const refusal = new Refusal(bad[1] + ".");
		throw Object.assign(refusal, { checks: report.checks, skipped: report.skipped });
	}
	report.checks.push(["none", "Revocation: whether its session was ended is in no token"]);
	return report;
}

async function anySignature(token, found, alg) {
	let last;
	for (const [i, signature] of token.signatures.entries()) {
		try {
			return { made: await verifySignature(token, signature, found, alg), number: i + 1 };
		} catch (e) {
			if (!(e instanceof Refusal)) throw e;
			last ??= e;
		}
	}
	throw last;
}

// expectations compares what is signed with what the person expects. typ is that of the protected
// header of the signature that was verified.
function expectations(report, { typ, iss, aud }, want) {
	const check = (name, wanted, good, is) => {
		if (!wanted) report.checks.push(["none", name + ": not checked, because you named none"]);
		else if (good) report.checks.push(["good", name + ": " + wanted]);
		else report.checks.push(["bad", name + " is " + (is === undefined ? "not there" : visible(JSON.stringify(is))) + ", and you expect " + wanted]);
	};
	check("Type (typ)", want.typ, typOf({ typ }) === typOf({ typ: want.typ }), typ);
	check("Issuer (iss)", want.iss, iss === want.iss, iss);
	check("Audience (aud)", want.aud, aud === want.aud || Array.isArray(aud) && aud.includes(want.aud), aud);
}

function timesOf(report, claims, now) {
	for (const name of ["exp", "nbf", "iat"]) {
		if (claims[name] === undefined) {
			if (name === "exp") report.checks.push(["none", "Expiry (exp): there is none"]);
			continue;
		}
		const at = claims[name];
		if (!isNumber(at)) report.checks.push(["bad", name + " is no number of seconds"]);
		else if (name === "exp" && now >= at + leeway) report.checks.push(["bad", "It expired " + away(at, now)]);
		else if (name !== "exp" && now < at - leeway) report.checks.push(["bad", name + " is in the future: " + away(at, now)]);
		else report.checks.push(["good", timeNames[name] + ": " + away(at, now)]);
	}
}

// away says how far a time is from now, in at most two units. A year has 365.25 days.
function away(at, now) {
	let left = Math.abs(Math.trunc(at - now));
	const parts = [];
	for (const [unit, seconds] of [["year", 31557600], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]) {
		const n = Math.floor(left / seconds);
		left -= n * seconds;
		if (n || parts.length) parts.push(n + " " + unit + (n === 1 ? "" : "s"));
	}
	const text = parts.slice(0, 2).join(" ") || "0 seconds";
	return at > now ? "in " + text : text + " ago";
}
