// Bytes and their spellings. Nothing here trusts what it reads.

// Refusal is an error whose text is for the person at the page.
class Refusal extends Error {}
const refuse = (text) => { throw new Refusal(text); };

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

function concat(...parts) {
	const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
	let at = 0;
	for (const p of parts) {
		all.set(p, at);
		at += p.length;
	}
	return all;
}

// big writes n in big-endian order.
function big(n, bytes) {
	const out = new Uint8Array(bytes);
	for (let i = bytes - 1; i >= 0; i--, n = Math.floor(n / 256)) out[i] = n % 256;
	return out;
}

const random = (n) => crypto.getRandomValues(new Uint8Array(n));

// same compares in the time of the longer one.
function same(a, b) {
	let different = a.length ^ b.length;
	for (let i = 0; i < Math.max(a.length, b.length); i++) different |= (a[i] ?? 0) ^ (b[i] ?? 0);
	return different === 0;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function base64url(bytes) {
	let out = "";
	for (let i = 0; i < bytes.length; i += 3) {
		const n = bytes[i] << 16 | (bytes[i + 1] ?? 0) << 8 | (bytes[i + 2] ?? 0);
		out += letters[n >> 18] + letters[n >> 12 & 63];
		if (i + 1 < bytes.length) out += letters[n >> 6 & 63];
		if (i + 2 < bytes.length) out += letters[n & 63];
	}
	return out;
}

// fromBase64url reads base64url without padding. unused says that bits behind the last byte are
// set: the same bytes have another spelling (RFC 4648 section 3.5).
function fromBase64url(text) {
	const bad = /[^A-Za-z0-9_-]/u.exec(text);
	if (bad) refuse("has the character " + visible(JSON.stringify(bad[0])) + " at " + (bad.index + 1) + ", which base64url does not have");
	if (text.length % 4 === 1) refuse("has a length that base64url cannot have");
	const bytes = new Uint8Array(Math.floor(text.length * 3 / 4));
	let bits = 0, have = 0, at = 0;
	for (const c of text) {
		bits = (bits << 6 | letters.indexOf(c)) & 0xffff;
		have += 6;
		if (have >= 8) bytes[at++] = bits >> (have -= 8) & 255;
	}
	return { bytes, unused: (bits & (1 << have) - 1) !== 0 };
}

// fromBase64 reads what PEM files and secrets have: either alphabet, padding, line breaks.
function fromBase64(text) {
	const plain = text.replace(/\s/g, "").replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
	return fromBase64url(plain).bytes;
}

function fromHex(text) {
	const plain = text.replace(/[\s:]/g, "");
	if (!/^([0-9a-fA-F]{2})*$/.test(plain)) refuse("is not hexadecimal");
	return Uint8Array.from(plain.match(/../g) ?? [], (two) => parseInt(two, 16));
}

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

// visible spells the characters that change the direction of text or cannot be seen.
function visible(text) {
	return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e0fff}]/gu,
		(c) => Array.from({ length: c.length }, (_, i) => "\\u" + c.charCodeAt(i).toString(16).padStart(4, "0")).join(""));
}

// read gives the text of bytes, and whether they are UTF-8.
function readText(bytes) {
	try {
		return { text: strict.decode(bytes), valid: true };
	} catch {
		return { text: lenient.decode(bytes), valid: false };
	}
}

async function inflate(bytes, format, most) {
	const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format)).getReader();
	const parts = [];
	let size = 0;
	for (;;) {
		let step;
		try {
			step = await reader.read();
		} catch {
			refuse("What is compressed inside is damaged.");
		}
		if (step.done) return concat(...parts);
		size += step.value.length;
		if (size > most) {
			reader.cancel().catch(() => {});
			refuse("What is inside unpacks to more than " + most / 1000 + " KB, and reading ended there.");
		}
		parts.push(step.value);
	}
}

async function deflate(bytes) {
	return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer());
}

const digest = async (hash, bytes) => new Uint8Array(await crypto.subtle.digest(hash, bytes));
