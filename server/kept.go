package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
)

// A form of the console may need a fresher login. What was typed into it then travels through the forms
// of the proof, each of which has it as a hidden field, and back to the form. So it is in no address,
// and with it in no log and no history, and the server keeps nothing. No link can bring it: it is read
// from the body of forms that come from our own pages alone, and its MAC is over the subject and the
// form.

// maxKept is the length in bytes of what is kept of a form, so that the forms of the proof have room for it.
const maxKept = 12 << 10

// keep returns to with what was typed into the form that it leads to. What confirms a destructive call is left
// out: it is typed again. kept reports whether there was room.
func (s *Server) keep(to destination, subject string, typed url.Values) (_ destination, kept bool) {
	values := maps.Clone(typed)
	values.Del("confirm")
	text := values.Encode()
	to.Kept = base64.RawURLEncoding.EncodeToString(append(s.keptMAC(to, subject, text), text...))
	return to, len(to.Kept) <= maxKept
}

// kept returns what was typed into the form that to leads to, if it was kept for that subject.
func (s *Server) kept(to destination, subject string) (typed url.Values, kept bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(to.Kept)
	if err != nil || len(raw) < macSize || !hmac.Equal(raw[:macSize], s.keptMAC(to, subject, string(raw[macSize:]))) {
		return nil, false
	}
	typed, err = url.ParseQuery(string(raw[macSize:]))
	return typed, err == nil
}

func (s *Server) keptMAC(to destination, subject, text string) []byte {
	m := hmac.New(sha256.New, s.formKey)
	for _, part := range []string{subject, to.ReturnTo.String(), text} {
		m.Write([]byte(part + "\x00"))
	}
	return m.Sum(nil)[:macSize]
}

// resumePage leads back to a form, with what was typed into it. Its script goes on by itself.
type resumePage struct{ frame }

// resume leads to the form that to has something for. Nothing is done there: it is shown as it was filled in.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, subject string, to destination) error {
	if _, kept := s.kept(to, subject); !kept { // of somebody else, who was signed in before
		s.leave(w, to)
		return nil
	}
	return s.render(w, r, http.StatusOK, "resume.html", &resumePage{frame{Title: say("resume.title"), To: to}})
}
