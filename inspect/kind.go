package inspect

import (
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/token"
)

// logoutEvent is in each logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// kindNamed returns a kind of kinds.json.
func kindNamed(id string) Kind {
	return kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.ID == id })]
}

// shortType is typ in lower case and without application/ (RFC 7515 section 4.1.9).
func shortType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// kindOf returns the kind of a token, and by what it was recognised: first by typ, then by what
// the claims have. It is a guess, as everything that is not verified.
func kindOf(header, claims object, selective bool) (k Kind, because string) {
	typ := shortType(header.text("typ"))
	for _, k := range kinds {
		if slices.Contains(k.Types, typ) {
			return k, "typ is " + header.text("typ")
		}
	}
	if strings.HasSuffix(typ, "+sd-jwt") {
		return kindNamed("sd-jwt"), "typ is " + header.text("typ")
	}
	if selective {
		return kindNamed("sd-jwt"), "it has disclosures"
	}
	if events, err := readObject(claims["events"]); err == nil && events.has(logoutEvent) {
		return kindNamed("logout-token"), "it has the event of a logout"
	}
	for _, k := range kinds {
		for _, name := range k.Marks {
			if claims.has(name) {
				return k, "it has " + name
			}
		}
	}
	if iss := claims.text("iss"); iss != "" && iss == claims.text("sub") && claims.has("aud") {
		return kindNamed("client-assertion"), "iss and sub are the same"
	}
	for _, name := range []string{"auth_time", "azp", "acr", "amr"} {
		if claims.has(name) {
			return kindNamed("id-token"), "it has " + name
		}
	}
	return kindNamed("jwt"), "neither typ nor claims tell more"
}

// secretKinds are the credentials of Counterfoil that are no tokens. Only their kind is said:
// what is in them is nobody's business but the server's.
var secretKinds = []struct{ prefix, kind, title string }{
	{"cfr_", "refresh-token", "refresh token of Counterfoil"},
	{"cfk_", "api-key", "API key of Counterfoil"},
	{"cfi_", "invitation", "invitation of Counterfoil"},
	{"cfp_", "recovery", "link of Counterfoil to choose another password"},
	{"cfv_", "verification", "link of Counterfoil to confirm a mail address"},
	{"cfu_", "undo", "link of Counterfoil to undo a change of a mail address"},
}

// opaqueKind returns the kind of a credential that is no token.
func opaqueKind(text string) (kind, title string, ok bool) {
	_, text = cutScheme(strings.TrimSpace(text))
	for _, s := range secretKinds {
		if rest, found := strings.CutPrefix(text, s.prefix); found && len(rest) >= 20 && !strings.ContainsFunc(rest, notURLByte) {
			return s.kind, s.title, true
		}
	}
	if len(text) > 4 && strings.HasPrefix(text, "cf") && text[3] == '_' && !strings.ContainsFunc(text, notURLByte) && len(text) >= 24 {
		return "credential", "credential of Counterfoil", true
	}
	if token.ShapeOf(text) == token.ShapeOpaque && !strings.ContainsFunc(text, notURLByte) {
		return "opaque-id", "opaque id, such as a session cookie or an access token of Counterfoil: only its issuer can tell what it stands for", true
	}
	return "", "", false
}

func notURLByte(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}
