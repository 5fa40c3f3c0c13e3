package pack

import "strings"

// words are the texts that take one byte in a packed value. The index of a word is its code.
// So new words are added at the end only, and there are at most 127. A version that adds a
// word must only read it; a later version may write it. So two versions can share a store.
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
	`login`, `logout`, `revoke`, `true`, `false`, `null`,
}

// byFirst has the codes of the words by their first byte, the longest word first.
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

// word returns the code and the length of the longest word at the start of s.
func word(s string) (code byte, n int) {
	for _, c := range byFirst[s[0]] {
		if strings.HasPrefix(s, words[c]) {
			return 0x80 + c, len(words[c])
		}
	}
	return 0, 0
}
