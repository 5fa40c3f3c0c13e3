// What a token is for, by its typ and its shape. The kinds are data that the commands share.

const claimsOf = (token) => {
	const v = token.form === "sd-jwt" ? token.issued.payload.json?.value : token.payload?.json?.value;
	return isObject(v) ? v : null;
};

const typOf = (header) => isText(header?.typ) ? header.typ.toLowerCase().replace(/^application\//, "") : "";

// logoutEvent is in each logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout";

// kindOf returns the kind, and by what it was recognised: first by typ, then by what the claims have.
function kindOf(token) {
	const typ = typOf(token.header), claims = claimsOf(token) ?? {};
	const as = (id, because) => ({ kind: KINDS.find((k) => k.id === id), because });
	const told = KINDS.find((k) => k.typ.includes(typ))?.id ?? (typ.endsWith("+sd-jwt") ? "sd-jwt" : undefined);
	if (told) return as(told, "typ is " + token.header.typ);
	if (token.form === "sd-jwt") return as("sd-jwt", "it has disclosures");
	if (isObject(claims.events) && logoutEvent in claims.events) return as("logout-token", "it has the event of a logout");
	for (const k of KINDS) {
		const mark = k.marks.find((m) => m in claims);
		if (mark) return as(k.id, "it has " + mark);
	}
	if (isText(claims.iss) && claims.iss !== "" && claims.iss === claims.sub && "aud" in claims) return as("client-assertion", "iss and sub are the same");
	const login = ["auth_time", "azp", "acr", "amr"].find((m) => m in claims);
	return login ? as("id-token", "it has " + login) : as("jwt", "neither typ nor claims tell more");
}

// facts are what matters of a token of its kind: pairs of a label and a text.
async function facts(token) {
	const claims = claimsOf(token), header = token.header ?? {}, list = [];
	const say = (label, value) => { if (value !== undefined) list.push([label, isText(value) ? value : JSON.stringify(value)]); };
	if (!claims) return list;
	const { kind } = kindOf(token);
	if (kind.id === "dpop-proof") {
		say("Method (htm)", claims.htm);
		say("Address (htu)", claims.htu);
		say("Id (jti)", claims.jti);
		say("Nonce", claims.nonce);
		say("Digest of the access token (ath)", claims.ath ?? "none: it is not for a request with an access token");
	}
	for (const [jwk, label] of [[header.jwk, "Thumbprint of the key in jwk (RFC 7638)"], [claims.cnf?.jwk, "Thumbprint of the key in cnf (RFC 7638)"]]) {
		const found = { keys: [], skipped: [] };
		if (jwk === undefined) continue;
		addJWK(found, jwk, "the key");
		say(label, found.keys.length ? await thumbprint(jwk) : found.skipped[0]);
	}
	if (claims.cnf?.jkt !== undefined) say("Bound to the key with the thumbprint (cnf.jkt)", claims.cnf.jkt);
	if (kind.id === "logout-token" || kind.id === "security-event") {
		say("Events", isObject(claims.events) ? Object.keys(claims.events).join(", ") : claims.events);
		say("Subject", claims.sub_id ?? claims.sub);
		say("Session (sid)", claims.sid);
	}
	if (kind.id === "access-token") {
		say("Client", claims.client_id);
		say("Scope", claims.scope ?? claims.scp);
		say("Session (sid)", claims.sid);
	}
	if (kind.id === "id-token") {
		say("Nonce", claims.nonce);
		say("Authorized party (azp)", claims.azp);
	}
	if (isObject(claims.rv) || isText(claims.rv)) say("Revocation log when it was made (rv)", claims.rv);
	if (isObject(claims.status_list)) list.push(...await statusList(claims.status_list));
	if (isObject(claims.status?.status_list)) say("Its status is in", claims.status.status_list.uri + ", number " + claims.status.status_list.idx);
	return list;
}

// statusList counts the entries of a list of status, by their values.
async function statusList({ bits: size, lst }) {
	try {
		if (![1, 2, 4, 8].includes(size) || !isText(lst)) refuse("It has no bits or no lst.");
		const bytes = await inflate(fromBase64url(lst).bytes, "deflate", mostPlain);
		const counts = new Map();
		for (const byte of bytes) {
			for (let at = 0; at < 8; at += size) {
				const value = byte >> at & (1 << size) - 1;
				counts.set(value, (counts.get(value) ?? 0) + 1);
			}
		}
		const shown = [...counts].sort(([a], [b]) => a - b).map(([value, n]) => n + " with " + value + ([" (valid)", " (invalid)", " (suspended)"][value] ?? ""));
		return [["Entries", String(bytes.length * 8 / size)], ["Status", shown.join(", ")]];
	} catch (e) {
		if (!(e instanceof Refusal)) throw e;
		return [["Status list", e.message]];
	}
}
