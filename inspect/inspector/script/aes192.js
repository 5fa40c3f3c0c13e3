// AES with keys of 192 bits (FIPS 197), which Chromium's WebCrypto refuses. Other sizes are never
// computed here. It is not constant in time: a token is opened here for its owner, at its owner's
// machine, once.

const sbox = new Uint8Array(256), unbox = new Uint8Array(256);
const twice = (a) => (a << 1 ^ (a & 128 ? 0x11b : 0)) & 255;
function times(a, b) {
	let out = 0;
	for (; b; b >>= 1, a = twice(a)) if (b & 1) out ^= a;
	return out;
}
for (let i = 0, p = 1, q = 1; i < 255; i++) { // q is the inverse of p: 3 and its inverse generate the field
	p ^= twice(p);
	q ^= q << 1;
	q ^= q << 2;
	q = (q ^ q << 4) & 255;
	if (q & 128) q ^= 9;
	const s = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4);
	sbox[p] = (s ^ 0x63) & 255;
}
sbox[0] = 0x63;
sbox.forEach((s, i) => { unbox[s] = i; });

const rounds192 = 12;

function expand192(key) {
	const w = new Uint8Array(16 * (rounds192 + 1));
	w.set(key);
	for (let i = 24, rcon = 1; i < w.length; i += 4) {
		let t = w.slice(i - 4, i);
		if (i % 24 === 0) {
			t = Uint8Array.of(sbox[t[1]] ^ rcon, sbox[t[2]], sbox[t[3]], sbox[t[0]]);
			rcon = twice(rcon);
		}
		for (let j = 0; j < 4; j++) w[i + j] = w[i + j - 24] ^ t[j];
	}
	return w;
}

// mix multiplies each column by the four coefficients of a row.
function mix(s, [a, b, c, d]) {
	for (let i = 0; i < 16; i += 4) {
		const [w, x, y, z] = s.slice(i, i + 4);
		s[i] = times(w, a) ^ times(x, b) ^ times(y, c) ^ times(z, d);
		s[i + 1] = times(w, d) ^ times(x, a) ^ times(y, b) ^ times(z, c);
		s[i + 2] = times(w, c) ^ times(x, d) ^ times(y, a) ^ times(z, b);
		s[i + 3] = times(w, b) ^ times(x, c) ^ times(y, d) ^ times(z, a);
	}
}

const xor = (a, b) => a.map((v, i) => v ^ b[i]);
const roundKey = (w, r) => w.subarray(16 * r, 16 * r + 16);

function encryptBlock(w, block) {
	let s = xor(block, roundKey(w, 0));
	for (let r = 1; r <= rounds192; r++) {
		const old = s;
		s = old.map((_, i) => sbox[old[(i + 4 * (i % 4)) % 16]]);
		if (r < rounds192) mix(s, [2, 3, 1, 1]);
		s = xor(s, roundKey(w, r));
	}
	return s;
}

function decryptBlock(w, block) {
	let s = xor(block, roundKey(w, rounds192));
	for (let r = rounds192 - 1; r >= 0; r--) {
		const old = s;
		s = old.map((_, i) => unbox[old[(i + 12 * (i % 4)) % 16]]);
		s = xor(s, roundKey(w, r));
		if (r > 0) mix(s, [14, 11, 13, 9]);
	}
	return s;
}

// wrap192 and unwrap192 are AES key wrap (RFC 3394).
function wrap192(kek, key) {
	const w = expand192(kek), n = key.length / 8;
	let a = new Uint8Array(8).fill(0xa6);
	const r = Uint8Array.from(key);
	for (let t = 1; t <= 6 * n; t++) {
		const at = 8 * ((t - 1) % n), b = encryptBlock(w, concat(a, r.subarray(at, at + 8)));
		a = xor(b.slice(0, 8), big(t, 8));
		r.set(b.subarray(8), at);
	}
	return concat(a, r);
}

function unwrap192(kek, wrapped) {
	const w = expand192(kek), r = wrapped.slice(8), n = r.length / 8;
	if (n < 2 || n % 1) refuse("The encrypted key has a wrong length.");
	let a = wrapped.slice(0, 8);
	for (let t = 6 * n; t >= 1; t--) {
		const at = 8 * ((t - 1) % n), b = decryptBlock(w, concat(xor(a, big(t, 8)), r.subarray(at, at + 8)));
		a = b.slice(0, 8);
		r.set(b.subarray(8), at);
	}
	return a.every((v) => v === 0xa6) ? r : null;
}

function cbc192(key, iv, data, encrypt) {
	const w = expand192(key);
	const from = encrypt ? concat(data, new Uint8Array(16 - data.length % 16).fill(16 - data.length % 16)) : data;
	if (from.length === 0 || from.length % 16) return null;
	const out = new Uint8Array(from.length);
	let last = iv;
	for (let i = 0; i < from.length; i += 16) {
		const block = from.slice(i, i + 16);
		out.set(encrypt ? encryptBlock(w, xor(block, last)) : xor(decryptBlock(w, block), last), i);
		last = encrypt ? out.slice(i, i + 16) : block;
	}
	if (encrypt) return out;
	const pad = out[out.length - 1];
	return pad >= 1 && pad <= 16 && out.subarray(-pad).every((b) => b === pad) ? out.slice(0, -pad) : null;
}

// gcm192 returns the other text and the tag (SP 800-38D), for an initialization vector of 12 bytes.
function gcm192(key, iv, data, aad, encrypt) {
	const w = expand192(key);
	const number = (b) => BigInt("0x" + hex(b));
	const h = number(encryptBlock(w, new Uint8Array(16)));
	const table = [h]; // h times x to the power of i
	for (let i = 1; i < 128; i++) table.push(table[i - 1] >> 1n ^ (table[i - 1] & 1n ? 0xe1n << 120n : 0n));
	let y = 0n;
	const hash = (bytes) => {
		for (let i = 0; i < bytes.length; i += 16) {
			const block = new Uint8Array(16);
			block.set(bytes.subarray(i, i + 16));
			const x = y ^ number(block);
			y = 0n;
			for (let j = 0, spelled = x.toString(2).padStart(128, "0"); j < 128; j++) if (spelled[j] === "1") y ^= table[j];
		}
	};
	const out = new Uint8Array(data.length);
	for (let i = 0; i < data.length; i += 16) {
		const pad = encryptBlock(w, concat(iv, big(2 + i / 16, 4)));
		for (let j = i; j < Math.min(i + 16, data.length); j++) out[j] = data[j] ^ pad[j - i];
	}
	hash(aad);
	hash(encrypt ? out : data);
	hash(concat(big(aad.length * 8, 8), big(data.length * 8, 8)));
	const tag = xor(fromHex(y.toString(16).padStart(32, "0")), encryptBlock(w, concat(iv, big(1, 4))));
	return { out, tag };
}
