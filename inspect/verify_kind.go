package inspect

import (
	"encoding/json"
	"slices"
	"time"
)

// kind checks what only some kinds of tokens have. s is the signature that was found, or the
// first one.
func (v *Verified) kind(m *message, s *signature, claims object, o VerifyOptions) {
	switch v.Kind {
	case "dpop-proof":
		v.proof(s.protected, claims, o)
	case "logout-token":
		if claims.has("nonce") {
			v.check("logout", Failed, "a logout token has no nonce (OpenID Connect Back-Channel Logout 1.0 section 2.4)")
		}
	}
	if m.selective {
		v.disclosures(m, claims)
		v.binding(m, claims, o)
	}
	if cnf, err := readObject(claims["cnf"]); err == nil && !m.selective {
		v.bearer(m, cnf)
	}
}

// proof checks that the key in the header made the proof (RFC 9449 section 4.3). htm, htu, ath
// and nonce are for the server to compare.
func (v *Verified) proof(header, claims object, o VerifyOptions) {
	l := &linter{now: o.Now}
	l.proof(header, claims)
	for _, f := range l.found {
		v.check("proof", Failed, "%s", f.Detail)
	}
	key, err := parseJWK(header["jwk"])
	switch {
	case err != nil:
	case v.Thumbprint != "" && key.Thumbprint != v.Thumbprint:
		v.check("proof", Failed, "the key in the header is %s, and another one made the signature", key.Thumbprint)
	default:
		v.check("proof", Open, "%s %s; nobody compared the request", claims.text("htm"), claims.text("htu"))
	}
}

// ProofKey returns the key of a DPoP proof, which brings it in its header. No other token may.
func ProofKey(text string) (*Keys, bool) {
	m, err := parse(text)
	if err != nil || m.encrypted != nil {
		return nil, false
	}
	header := m.signatures[0].protected
	if shortType(header.text("typ")) != "dpop+jwt" {
		return nil, false
	}
	key, err := parseJWK(header["jwk"])
	if err != nil || key.Private {
		return nil, false
	}
	return &Keys{List: []Key{key}}, true
}

// disclosures checks that the token has the digest of each disclosure (RFC 9901 section 7.1).
func (v *Verified) disclosures(m *message, claims object) {
	v.Disclosed = m.disclosed(claims)
	bad := slices.IndexFunc(v.Disclosed, func(d Disclosure) bool { return !d.Matched })
	if bad >= 0 {
		v.check("disclosures", Failed, "disclosure %d: %s", bad+1, v.Disclosed[bad].Problem)
		v.Disclosed = nil
		return
	}
	if _, err := m.resolved(v.Disclosed); err != nil {
		v.check("disclosures", Failed, "%v", err)
		v.Disclosed = nil
		return
	}
	v.check("disclosures", Passed, "%d, each with its digest in the token", len(v.Disclosed))
}

// binding verifies the key binding JWT with the key of cnf (RFC 9901 section 7.3).
func (v *Verified) binding(m *message, claims object, o VerifyOptions) {
	cnf, _ := readObject(claims["cnf"])
	switch {
	case m.binding == "" && cnf.has("jwk"):
		v.check("key binding", Open, "it is bound to a key, and nobody showed that the holder has it")
		return
	case m.binding == "":
		v.check("key binding", Open, "it has none: each copy of it is as good")
		return
	}
	key, err := parseJWK(cnf["jwk"])
	if err != nil {
		v.check("key binding", Failed, "cnf of the token has no key that is known here")
		return
	}
	b, err := parse(m.binding)
	if err != nil || b.encrypted != nil {
		v.check("key binding", Failed, "it is no signed token")
		return
	}
	s := &b.signatures[0]
	own, err := readObject(b.payload)
	if err != nil {
		v.check("key binding", Failed, "its payload is not a JSON object")
		return
	}
	if why := key.bindingFault(b, s); why != "" {
		v.check("key binding", Failed, "%s", why)
		return
	}
	if name := digestName(claims); digestAlgorithms[name] == nil || own.text("sd_hash") != digestOf(name, m.bound()) {
		v.check("key binding", Failed, "it is for another token, or for other disclosures: sd_hash is another one")
		return
	}
	iat, ok := own.time("iat")
	switch {
	case !ok || !own.isText("nonce") || !own.isText("aud"):
		v.check("key binding", Failed, "iat, aud or nonce is missing")
	case o.Now.Before(iat.Add(-o.Leeway)):
		v.check("key binding", Failed, "its iat is in the future: %s", iat.Format(time.RFC3339))
	default:
		v.check("key binding", Passed, "made %s by the key that cnf names", away(iat, o.Now))
		v.audience("binding aud", own, o)
		v.nonce("binding nonce", own, o)
	}
}

// bindingFault checks type and signature of a key binding JWT.
func (k Key) bindingFault(b *message, s *signature) string {
	alg, err := s.algorithm()
	switch {
	case err != nil:
		return err.Error()
	case shortType(s.protected.text("typ")) != "kb+jwt":
		return "its typ is not kb+jwt"
	case hmacs[alg] != nil:
		return "it is signed with a secret"
	case k.misfit(alg) != "":
		return k.misfit(alg)
	}
	if err := k.holds(alg, []byte(b.input(s)), s.value); err != nil {
		return "the key of cnf did not make it"
	}
	return ""
}

// bearer tells about a token that is bound to a key (RFC 7800).
func (v *Verified) bearer(m *message, cnf object) {
	switch {
	case m.scheme == "Bearer" && cnf.has("jkt"):
		v.check("cnf", Failed, "it is bound to a key for DPoP and was sent as Bearer")
	default:
		names, _ := json.Marshal(cnf)
		v.check("cnf", Open, "it is good only with a proof of the key that cnf names: %s", names)
	}
}
