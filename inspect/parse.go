package inspect

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// Limits, which are checked before anything is allocated.
const (
	MaxSize        = 256 << 10 // bytes of a text
	maxSignatures  = 16        // of a token in general serialization; also its recipients
	maxDisclosures = 512
	maxNested      = 4 // tokens in tokens
)

// ErrNoToken is wrapped by the errors for texts that are no token.
var ErrNoToken = errors.New("this is no token")

// The serializations of RFC 7515 section 7 and RFC 7516 section 7.
const (
	Compact   = "compact"
	Flattened = "flattened"
	General   = "general"
)

// message is a text that was cut into parts. Nothing of it is verified.
type message struct {
	text          string // without the scheme
	scheme        string // of an Authorization header: Bearer, DPoP, or empty
	serialization string
	signatures    []signature // of a JWS
	payload       []byte
	payloadPart   string // as it is signed
	encrypted     *encrypted

	disclosures []string // of an SD-JWT
	binding     string   // its key binding JWT, or empty
	selective   bool     // it has the form of an SD-JWT

	faults []fault
}

// signature is one signature and its headers.
type signature struct {
	part        string // the protected header as it is signed
	raw         []byte // decoded
	protected   object
	unprotected object
	value       []byte
}

// encrypted has the parts of a JWE.
type encrypted struct {
	raw         []byte // the protected header
	protected   object
	unprotected object
	recipients  []object // the headers of the recipients; one and empty if there is none
	keys        []int    // sizes of their encrypted keys
	iv, tag     int      // sizes
	ciphertext  int
}

// fault is a rule that the form of the text breaks.
type fault struct{ rule, detail string }

func (m *message) fault(rule, detail string) { m.faults = append(m.faults, fault{rule, detail}) }

// header is what all headers of s say together. The protected one goes first.
func (s *signature) header() object { return merged(s.unprotected, s.protected) }

// header is what the headers of the first recipient say together.
func (e *encrypted) header() object { return e.recipient(0) }

func (e *encrypted) recipient(i int) object {
	return merged(e.recipients[i], e.unprotected, e.protected)
}

func merged(objects ...object) object {
	all := object{}
	for _, o := range objects {
		for name, value := range o {
			all[name] = value
		}
	}
	return all
}

// parse cuts a text into its parts. It is lenient, and remembers as faults what a strict reader
// refuses. An error wraps ErrNoToken.
func parse(text string) (*message, error) {
	if len(text) > MaxSize {
		return nil, noToken("it has more than %d KB", MaxSize>>10)
	}
	m := &message{}
	m.scheme, m.text = cutScheme(strings.TrimSpace(text))
	if strings.HasPrefix(m.text, "{") {
		return m, m.parseJSON()
	}
	compact := m.text
	if head, rest, ok := strings.Cut(m.text, "~"); ok {
		compact = head
		if err := m.cutDisclosures(rest); err != nil {
			return nil, err
		}
	}
	m.serialization = Compact
	switch strings.Count(compact, ".") {
	case 2:
		p := strings.Split(compact, ".")
		s, err := m.signature(p[0], p[2], nil)
		if err != nil {
			return nil, err
		}
		m.signatures = []signature{s}
		return m, m.setPayload(p[1])
	case 4:
		if m.selective {
			break
		}
		p := strings.Split(compact, ".")
		header, err := m.decode("header", p[0])
		if err != nil {
			return nil, err
		}
		e := &encrypted{raw: header, recipients: []object{{}}, keys: []int{0}}
		if e.protected, err = readObject(header); err != nil {
			return nil, noToken("its header is not a JSON object")
		}
		for i, size := range []*int{&e.keys[0], &e.iv, &e.ciphertext, &e.tag} {
			part, err := m.decode([]string{"encrypted key", "initialization vector", "ciphertext", "tag"}[i], p[i+1])
			if err != nil {
				return nil, err
			}
			*size = len(part)
		}
		m.encrypted = e
		return m, nil
	}
	return nil, noToken("want a JWS (3 parts), a JWE (5 parts), one of both in JSON, or an opaque id (43 characters)")
}

// cutScheme cuts the scheme off what was copied from an Authorization header.
func cutScheme(text string) (scheme, rest string) {
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(name, "Authorization") {
		text = strings.TrimSpace(value)
	}
	for _, scheme := range []string{"Bearer", "DPoP"} {
		if name, value, ok := strings.Cut(text, " "); ok && strings.EqualFold(name, scheme) {
			return scheme, strings.TrimSpace(value)
		}
	}
	return "", text
}

func (m *message) cutDisclosures(rest string) error {
	m.selective = true
	if strings.Count(rest, "~") > maxDisclosures {
		return noToken("it has more than %d disclosures", maxDisclosures)
	}
	parts := strings.Split(rest, "~")
	m.binding = parts[len(parts)-1]
	m.disclosures = parts[:len(parts)-1]
	return nil
}

// signature reads the headers and the value of one signature.
func (m *message) signature(protected, value string, unprotected object) (s signature, err error) {
	s.part, s.unprotected = protected, unprotected
	if s.raw, err = m.decode("header", protected); err != nil {
		return s, err
	}
	if len(s.raw) > 0 || unprotected == nil {
		if s.protected, err = readObject(s.raw); err != nil {
			return s, noToken("its header is not a JSON object")
		}
	}
	s.value, err = m.decode("signature", value)
	return s, err
}

// setPayload decodes the payload. With b64 it is there as it is (RFC 7797).
func (m *message) setPayload(part string) (err error) {
	m.payloadPart = part
	if string(m.signatures[0].protected["b64"]) == "false" {
		m.payload = []byte(part)
		return nil
	}
	m.payload, err = m.decode("payload", part)
	return err
}

// jsonForm has the members of both serializations in JSON.
type jsonForm struct {
	Payload    *string `json:"payload"`
	Signature  *string `json:"signature"`
	Signatures []struct {
		Protected string `json:"protected"`
		Header    object `json:"header"`
		Signature string `json:"signature"`
	} `json:"signatures"`

	Protected   string `json:"protected"`
	Header      object `json:"header"`
	Unprotected object `json:"unprotected"`

	Ciphertext   *string `json:"ciphertext"`
	EncryptedKey string  `json:"encrypted_key"`
	IV           string  `json:"iv"`
	Tag          string  `json:"tag"`
	Recipients   []struct {
		Header       object `json:"header"`
		EncryptedKey string `json:"encrypted_key"`
	} `json:"recipients"`
}

func (m *message) parseJSON() error {
	if _, err := readObject([]byte(m.text)); err != nil {
		return noToken("it is not one JSON object")
	}
	m.objectFaults("token", []byte(m.text))
	var f jsonForm
	if err := json.Unmarshal([]byte(m.text), &f); err != nil {
		return noToken("a member of its JSON serialization has a wrong type")
	}
	if len(f.Signatures) > maxSignatures || len(f.Recipients) > maxSignatures {
		return noToken("it has more than %d signatures or recipients", maxSignatures)
	}
	switch {
	case f.Ciphertext != nil:
		return m.encryptedJSON(&f)
	case f.Payload == nil:
		return noToken("it is JSON, and has neither payload nor ciphertext")
	}
	m.serialization = General
	if len(f.Signatures) == 0 {
		m.serialization = Flattened
		if f.Signature == nil {
			return noToken("it is JSON, and has no signature")
		}
		f.Signatures = append(f.Signatures, struct {
			Protected string `json:"protected"`
			Header    object `json:"header"`
			Signature string `json:"signature"`
		}{f.Protected, f.Header, *f.Signature})
	}
	for _, one := range f.Signatures {
		if one.Header == nil {
			one.Header = object{}
		}
		s, err := m.signature(one.Protected, one.Signature, one.Header)
		if err != nil {
			return err
		}
		m.signatures = append(m.signatures, s)
	}
	m.jsonDisclosures()
	return m.setPayload(*f.Payload)
}

// jsonDisclosures takes the parts of an SD-JWT in JSON serialization (RFC 9901 section 8.1).
func (m *message) jsonDisclosures() {
	header := m.signatures[0].unprotected
	var list []string
	if json.Unmarshal(header["disclosures"], &list) == nil && len(list) <= maxDisclosures {
		m.disclosures, m.selective = list, true
	}
	if m.binding = header.text("kb_jwt"); m.binding != "" {
		m.selective = true
	}
}

func (m *message) encryptedJSON(f *jsonForm) error {
	m.serialization = Flattened
	raw, err := m.decode("header", f.Protected)
	if err != nil {
		return err
	}
	e := &encrypted{raw: raw, unprotected: f.Unprotected}
	if len(raw) > 0 {
		if e.protected, err = readObject(raw); err != nil {
			return noToken("its header is not a JSON object")
		}
	}
	for _, r := range f.Recipients {
		m.serialization = General
		key, err := m.decode("encrypted key", r.EncryptedKey)
		if err != nil {
			return err
		}
		e.recipients, e.keys = append(e.recipients, r.Header), append(e.keys, len(key))
	}
	if len(e.recipients) == 0 {
		key, err := m.decode("encrypted key", f.EncryptedKey)
		if err != nil {
			return err
		}
		e.recipients, e.keys = []object{f.Header}, []int{len(key)}
	}
	for _, part := range []struct {
		name, text string
		size       *int
	}{{"initialization vector", f.IV, &e.iv}, {"ciphertext", *f.Ciphertext, &e.ciphertext}, {"tag", f.Tag, &e.tag}} {
		b, err := m.decode(part.name, part.text)
		if err != nil {
			return err
		}
		*part.size = len(b)
	}
	m.encrypted = e
	return nil
}

var alphabets = strings.NewReplacer("+", "-", "/", "_", " ", "", "\t", "", "\r", "", "\n", "", "=", "")

// decode reads base64url. It also reads other spellings of it, and remembers that as a fault.
func (m *message) decode(name, part string) ([]byte, error) {
	clean := part
	if strings.ContainsAny(part, "+/ \t\r\n=") {
		clean = alphabets.Replace(part)
		m.fault("base64url", "in the "+name)
	}
	b, err := base64.RawURLEncoding.DecodeString(clean)
	if err != nil {
		return nil, noToken("its %s is not base64url", name)
	}
	if base64.RawURLEncoding.EncodeToString(b) != clean {
		m.fault("unused-bits", "in the "+name)
	}
	return b, nil
}
