// A reader of DER, for what WebCrypto does not read: certificates, PKCS#1 and SEC 1 keys.

// derItems reads the items of a SEQUENCE or of the whole input. Each has its tag, its content, and
// all its bytes.
function derItems(bytes) {
	const items = [];
	for (let at = 0; at < bytes.length;) {
		const start = at, tag = bytes[at++];
		let size = bytes[at++];
		if (size === undefined || (tag & 31) === 31) refuse("has damaged DER");
		if (size & 128) {
			const n = size & 127;
			if (n === 0 || n > 3) refuse("has DER of a length that is not read here");
			size = 0;
			for (let i = 0; i < n; i++) size = size << 8 | bytes[at++];
		}
		if (!(at + size <= bytes.length)) refuse("has DER that ends early");
		items.push({ tag, content: bytes.subarray(at, at + size), all: bytes.subarray(start, at + size) });
		at += size;
	}
	return items;
}

// derInside reads the items of the one SEQUENCE that bytes are.
function derInside(bytes) {
	const [outer, more] = derItems(bytes);
	if (!outer || more || outer.tag !== 0x30) refuse("is no DER sequence");
	return derItems(outer.content);
}

function der(tag, ...contents) {
	const content = concat(...contents);
	const n = content.length;
	const size = n < 128 ? [n] : n < 256 ? [0x81, n] : n < 65536 ? [0x82, n >> 8, n & 255] : [0x83, n >> 16, n >> 8 & 255, n & 255];
	return concat(Uint8Array.from([tag, ...size]), content);
}

// Object identifiers, as hexadecimal of their DER content.
const oids = {
	rsa: "2a864886f70d010101", pss: "2a864886f70d01010a", ec: "2a8648ce3d0201",
	"P-256": "2a8648ce3d030107", "P-384": "2b81040022", "P-521": "2b81040023", secp256k1: "2b8104000a",
	X25519: "2b656e", X448: "2b656f", Ed25519: "2b6570", Ed448: "2b6571",
};
const oidName = (content) => Object.keys(oids).find((name) => oids[name] === hex(content)) ?? "object identifier " + hex(content);
const derNull = Uint8Array.of(5, 0);
const algorithm = (...items) => der(0x30, ...items);
const oid = (name) => der(6, fromHex(oids[name]));

// spkiOf returns the SubjectPublicKeyInfo of an X.509 certificate (RFC 5280 section 4.1).
function spkiOf(certificate) {
	const items = derItems(derInside(certificate)[0].content);
	return items[items[0].tag === 0xa0 ? 6 : 5]?.all ?? refuse("is no certificate that can be read here");
}

// certificateTimes returns notBefore and notAfter as they stand there.
function certificateTimes(certificate) {
	const items = derItems(derInside(certificate)[0].content);
	const validity = items[items[0].tag === 0xa0 ? 4 : 3];
	return derItems(validity.content).map((t) => {
		const text = readText(t.content).text;
		const whole = t.tag === 0x17 ? (text[0] < "5" ? "20" : "19") + text : text;
		return whole.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z");
	});
}

// wrapRSA puts a PKCS#1 key into PKCS#8 or SPKI.
const wrapRSA = (key, secret) => secret
	? der(0x30, Uint8Array.of(2, 1, 0), algorithm(oid("rsa"), derNull), der(4, key))
	: der(0x30, algorithm(oid("rsa"), derNull), der(3, Uint8Array.of(0), key));

// wrapEC puts a SEC 1 key into PKCS#8 (RFC 5915). The curve is in its first optional field.
function wrapEC(key) {
	const curve = derInside(key).find((item) => item.tag === 0xa0) ?? refuse("names no curve");
	return der(0x30, Uint8Array.of(2, 1, 0), algorithm(oid("ec"), curve.content), der(4, key));
}

// keyKind returns what the AlgorithmIdentifier of a PKCS#8 or SPKI key names: rsa, a curve, or
// something that WebCrypto does not have.
function keyKind(bytes, secret) {
	const [id, parameters] = derItems(derInside(bytes)[secret ? 1 : 0].content);
	const name = oidName(id.content);
	return name === "ec" ? oidName(parameters?.content ?? new Uint8Array()) : name;
}
