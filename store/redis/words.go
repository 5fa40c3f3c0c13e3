package redis

import "strings"

// words are the texts that stand as one byte in a packed value. The place of a word
// is its code, so the list only grows, at the end, and never past 127 words; and a
// word may be written only by a version after the first that reads it, so that two
// versions can run side by side.
var words = [...]string{
	`{"id":"`, `","subject":"`, `","client":"`, `","client":"default","carrier":"`, `","carrier":"`,
	`","created":"`, `","auth_time":"`, `","last_seen":"`, `","idle_expires":"`, `","absolute_expires":"`,
	`","methods":["`, `"],"acr":"`, `","acr":"`, `","roles":["`, `"],"roles":["`,
	`"],"scopes":["`, `","scopes":["`, `"],"claims_version":`, `","claims_version":`, `,"claims_version":`,
	`"],"attributes":{"`, `,"attributes":{"`, `"],"device":"`, `"},"device":"`, `","device":"`, `,"device":"`,
	`","first_address":"`, `","last_address":"`, `","grant":"`, `","client_gen":`, `,"client_gen":`, `,"all_gen":`,
	`","session":"`, `","counter":`, `,"rotated":"`, `","expires":"`, `"}`, `}`, `"`, `","`, `":"`, `"],"`, `,"`, `":`,
	`cookie`, `bearer`, `jwt-cookie`, `jwe`, `default`, `["pwd"]`, `pwd`, `otp`, `mfa`, `hwk`, `"pwd","otp"`,
	`ses_`, `usr_`, `tok_`, `{"disabled":true`, `{"roles":["`, `{}`, `admin`, `user`, `openid`, `profile`, `email`, `offline_access`,
	`Mozilla/5.0 (`, `Windows NT 10.0; Win64; x64)`, `X11; Linux x86_64`, `X11; Linux x86_64)`, `Macintosh; Intel Mac OS X 10_15_7)`, `Macintosh; Intel Mac OS X 10.`,
	`iPhone; CPU iPhone OS `, `iPad; CPU OS `, ` like Mac OS X)`, `Linux; Android 10; K)`, `Linux; Android `,
	` AppleWebKit/537.36 (KHTML, like Gecko) Chrome/`, ` AppleWebKit/605.1.15 (KHTML, like Gecko) Version/`, `.0.0.0 Safari/537.36`, `.0.0.0 Mobile Safari/537.36`,
	` Safari/604.1`, ` Safari/605.1.15`, ` Mobile/15E148`, ` Edg/`, `; rv:`, `.0) Gecko/20100101 Firefox/`, ` OPR/`, `Go-http-client/`, `curl/`, `okhttp/`,
	`"audit"`, `{"time":"`, `","action":"`, `","outcome":"ok","subject":"`, `","outcome":"`, `","by":"`, `","by":"subject:`, `","address":"`, `","request":"`, `","reason":"`, `","detail":"`, `","target":"`,
	`login`, `logout`, `revoke`, `192.168.`, `127.0.0.1`, `true`, `false`, `null`,
}

// byFirst holds the codes of the words by their first byte, longest first.
var byFirst = func() (index [256][]byte) {
	for code := range words {
		list := &index[words[code][0]]
		at := 0
		for at < len(*list) && len(words[(*list)[at]]) >= len(words[code]) {
			at++
		}
		*list = append((*list)[:at], append([]byte{byte(code)}, (*list)[at:]...)...)
	}
	return index
}()

// word returns the code and the length of the longest word that s begins with.
func word(s string) (code byte, n int) {
	for _, c := range byFirst[s[0]] {
		if strings.HasPrefix(s, words[c]) {
			return 0x80 + c, len(words[c])
		}
	}
	return 0, 0
}

// The value of each character in an alphabet, and which have one.
var (
	value4, in4 = values(alphabet4)
	value5, in5 = values(alphabet5)
	value6, in6 = values(alphabet6)
)

func values(alphabet string) (value [256]byte, in *[256]bool) {
	in = new([256]bool)
	for i, c := range []byte(alphabet) {
		value[c], in[c] = byte(i), true
	}
	return value, in
}

// run counts the characters that s begins with, up to 255.
func run(s string, in *[256]bool) int {
	n := 0
	for n < len(s) && n < 255 && in[s[n]] {
		n++
	}
	return n
}

// size is how many bytes n characters of so many bits need.
func size(n, width int) int { return (n*width + 7) / 8 }

func appendBits(dst []byte, s string, width int, value *[256]byte) []byte {
	acc, bits := uint(0), 0
	for _, c := range []byte(s) {
		acc, bits = acc<<width|uint(value[c]), bits+width
		if bits >= 8 {
			bits -= 8
			dst = append(dst, byte(acc>>bits))
		}
	}
	if bits > 0 {
		dst = append(dst, byte(acc<<(8-bits)))
	}
	return dst
}

func appendChars(dst, b []byte, n, width int, alphabet string) []byte {
	acc, bits, at := uint(0), 0, 0
	for range n {
		if bits < width {
			acc, bits, at = acc<<8|uint(b[at]), bits+8, at+1
		}
		bits -= width
		dst = append(dst, alphabet[acc>>bits&(1<<width-1)])
	}
	return dst
}
