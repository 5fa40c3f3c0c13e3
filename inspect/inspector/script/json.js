// A JSON reader that sees what JSON.parse hides. value has the last of the members with one name,
// as most readers take it; pretty shows all. strange says what readers do not understand alike, and
// large what strict readers have no room for (TOK-13).

const deepest = 64;

function readJSON(text) {
	let at = 0;
	const duplicates = [];
	let strange = "", large = "";
	const wrong = (what) => refuse("is not JSON: " + what + " at character " + (at + 1));
	const blank = () => { while (" \t\r\n".includes(text[at] || "x")) at++; };
	const expect = (c) => text[at] === c ? at++ : wrong(at < text.length ? "no " + c : "it ends");

	function string() {
		const from = at;
		expect('"');
		while (text[at] !== '"') {
			if (at >= text.length) wrong("a text does not end");
			if (text[at] < " ") wrong("a control character in a text");
			at += text[at] === "\\" ? 2 : 1;
		}
		at++;
		try {
			const s = JSON.parse(text.slice(from, at));
			if (!s.isWellFormed()) strange ||= "half of a surrogate pair";
			return s;
		} catch {
			at = from;
			return wrong("a bad text");
		}
	}

	function value(path, indent) {
		if (path.length > deepest) wrong("more than " + deepest + " levels");
		blank();
		if (path.length >= 8 && "{[".includes(text[at] ?? "x")) large ||= "more than 8 levels";
		const inner = indent + "  ";
		if (text[at] === '"') {
			const v = string();
			return [v, visible(JSON.stringify(v))];
		}
		if (text[at] === "{") {
			at++;
			const v = Object.create(null), lines = [];
			for (blank(); text[at] !== "}"; blank()) {
				if (lines.length) {
					expect(",");
					blank();
				}
				const name = string();
				if (Object.hasOwn(v, name)) duplicates.push([...path, name].join("."));
				blank();
				expect(":");
				const [member, shown] = value([...path, name], inner);
				v[name] = member;
				lines.push(inner + visible(JSON.stringify(name)) + ": " + shown);
			}
			at++;
			if (lines.length > 64) large ||= "more than 64 members";
			return [v, lines.length ? "{\n" + lines.join(",\n") + "\n" + indent + "}" : "{}"];
		}
		if (text[at] === "[") {
			at++;
			const v = [], lines = [];
			for (blank(); text[at] !== "]"; blank()) {
				if (lines.length) expect(",");
				const [item, shown] = value([...path, String(v.length)], inner);
				v.push(item);
				lines.push(inner + shown);
			}
			at++;
			return [v, lines.length ? "[\n" + lines.join(",\n") + "\n" + indent + "]" : "[]"];
		}
		const word = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.+-])/y;
		word.lastIndex = at;
		const found = word.exec(text);
		if (!found) wrong(at < text.length ? "no value" : "it ends");
		at += found[0].length;
		const v = JSON.parse(found[0]);
		if (v === Infinity || v === -Infinity) strange ||= "a number that no reader has room for";
		return [v, found[0]];
	}

	const [result, pretty] = value([], "");
	blank();
	if (at < text.length) strange ||= "more text behind its value";
	return { value: result, pretty, duplicates, strange, large };
}

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
const isText = (v) => typeof v === "string";
const isNumber = (v) => typeof v === "number" && Number.isFinite(v);

// readObject reads an object of a person: the text of a field, in which a member must not be twice.
function readObject(text, what) {
	let read;
	try {
		read = readJSON(text);
	} catch (e) {
		refuse(what + " " + e.message);
	}
	if (!isObject(read.value)) refuse(what + " is no JSON object");
	if (read.duplicates.length) refuse(what + " has a member twice: " + visible(read.duplicates[0]));
	if (read.strange) refuse(what + " has " + read.strange);
	return read.value;
}
