package mailaddress_test

import (
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/mailaddress"
)

func TestASCII(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.com": "ada@example.com", "Ada.Lovelace+x@Example.COM": "Ada.Lovelace+x@example.com", "root@localhost": "root@localhost",
		"ada@bücher.example": "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example": "ada@xn--bcher-kva.example", "ada@BÜCHER.example": "ada@xn--bcher-kva.example",
		"o'neil/x={y}@a-b.example": "o'neil/x={y}@a-b.example", strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",

		"": "", "ada": "", "@example.com": "", "ada@": "", "a@b@example.com": "", "ada@example.com, eve@example.com": "", "ada @example.com": "", " ada@example.com": "",
		"Ada <ada@example.com>": "", "<ada@example.com>": "", `"ada"@example.com`: "", "ada(x)@example.com": "", "ada@[127.0.0.1]": "", "ädä@example.com": "",
		".ada@example.com": "", "ada.@example.com": "", "a..da@example.com": "", "ada@-example.com": "", "ada@example-.com": "", "ada@example..com": "", "ada@.com": "",
		"ada@example.com.": "", "ada@exa_mple.com": "", "ada@exa mple.com": "", "ada@example.com\r\nBcc: eve@example.com": "", "ada@example.com\r\n": "", "a\x00@example.com": "",
		"ada@ab--c.example": "", "ada@xn--a.example": "", "ada@xn--0.example": "", "ada@example.com\u202e": "", "ada\xff@example.com": "", "ada@\xff.example": "",
		strings.Repeat("a", 65) + "@example.com": "", "a@" + strings.Repeat("b", 64) + ".com": "", "a@" + strings.Repeat("b.", 130) + "com": "",
	} {
		got, err := mailaddress.ASCII(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ASCII(%q) = %q, %v, want %q", text, got, err, want)
		}
		if err == nil {
			if a, err := netmail.ParseAddress(got); err != nil || a.Address != got {
				t.Errorf("%q is %v for others, %v", got, a, err)
			}
			if again, err := mailaddress.ASCII(got); err != nil || again != got {
				t.Errorf("ASCII(%q) = %q, %v", got, again, err)
			}
		}
	}
}
