// Checks tokens that the inspector or the command made: [{ name, verb, token, key, payload }] on
// standard input, one JSON array. It prints what jose refuses, or reads otherwise.
import "./node18.mjs";
import * as jose from "jose";

let input = "";
for await (const chunk of process.stdin) input += chunk;
let wrong = 0;
for (const c of JSON.parse(input)) {
	try {
		const flat = c.token.startsWith("{") ? JSON.parse(c.token) : null;
		const { alg } = JSON.parse(new TextDecoder().decode(jose.base64url.decode(flat ? flat.protected : c.token.split(".")[0])));
		const key = c.key.startsWith("{") ? await jose.importJWK(JSON.parse(c.key), alg) : new TextEncoder().encode(c.key);
		const options = { keyManagementAlgorithms: [alg], maxPBES2Count: 1e6 };
		const plain = c.verb === "decrypt" ? (flat ? await jose.flattenedDecrypt(flat, key, options) : await jose.compactDecrypt(c.token, key, options)).plaintext
			: (flat ? await jose.flattenedVerify(flat, key) : await jose.compactVerify(c.token, key)).payload;
		if (new TextDecoder().decode(plain) !== c.payload) throw new Error("another content");
	} catch (e) {
		wrong++;
		console.log(`${c.name}: ${e.message}`);
	}
}
process.exit(wrong ? 1 : 0);
