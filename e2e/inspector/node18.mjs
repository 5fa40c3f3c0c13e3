// What jose takes for granted, for Node 18, which Debian has: a global crypto, and streams that
// (de)compress without a header.
import { webcrypto } from "node:crypto";
import { Duplex } from "node:stream";
import { createDeflateRaw, createInflateRaw } from "node:zlib";

globalThis.crypto ??= webcrypto;

const stream = (make) => class {
	constructor() {
		Object.assign(this, Duplex.toWeb(make()));
	}
};
try {
	new CompressionStream("deflate-raw");
} catch {
	globalThis.CompressionStream = stream(createDeflateRaw);
	globalThis.DecompressionStream = stream(createInflateRaw);
}
