package server

import (
	"net/http"
	"strconv"
	"strings"
)

// deed is what a form has done. The page that the form leads to says it, once: a reload sends
// nothing again. The browser keeps it in between, in a cookie that only this server can set.
// So no link can have a page say what was not done, and no text comes from outside (HDR-02).
type deed string

const (
	passwordChanged deed = "password-changed"
	passwordSet     deed = "password-set"
	sessionEnded    deed = "session-ended"
	sessionGone     deed = "session-gone"
	grantEnded      deed = "grant-ended"
	grantGone       deed = "grant-gone"
	hostEnded       deed = "host-ended"
	hostGone        deed = "host-gone"
	ownEnded        deed = "own-ended"
	othersEnded     deed = "others-ended" // with how many
	noticeDismissed deed = "notice-dismissed"
	leftHere        deed = "signed-out"
	actingEnded     deed = "acting-ended"
	addressVerified deed = "address-verified"
	addressChanged  deed = "address-changed"

	// Of the console.
	userChanged    deed = "user-changed"
	userDisabled   deed = "user-disabled"
	userEnabled    deed = "user-enabled"
	userEnded      deed = "user-ended"
	userDeleted    deed = "user-deleted"
	undosEnded     deed = "undos-ended"
	sessionRevoked deed = "session-revoked"
	sessionsGone   deed = "sessions-revoked"
	clientSet      deed = "client-set"
	clientEnded    deed = "client-ended"
	clientDeleted  deed = "client-deleted"
	apiKeyDeleted  deed = "apikey-deleted"
	keyRotated     deed = "key-rotated"
	keyRevoked     deed = "key-revoked"
	letterAgain    deed = "letter-again"
	letterDropped  deed = "letter-dropped"
	checkMuted     deed = "check-muted"
	checkUnmuted   deed = "check-unmuted"
	incidentMade   deed = "incident-made"
	noteAdded      deed = "note-added"
	channelWorks   deed = "channel-works"
)

// words says what was done. What no deed is says nothing.
func (s *Server) words(d deed, count int) said {
	switch key := "done." + string(d); {
	case d == othersEnded && count == 0:
		return say("done.others-none")
	case d == othersEnded:
		return sayCount(key, count)
	case s.has(key):
		return say(key)
	}
	return nil
}

// doneCookie has a deed, and a number, until the next page.
const (
	doneCookie         = "__Host-Http-cf_done"
	insecureDoneCookie = "cf_done"
	doneWithin         = 60 // seconds
)

func (s *Server) doneCookie() string {
	if s.secure {
		return doneCookie
	}
	return insecureDoneCookie
}

// finish leads from a form to a page, which says what was done.
func (s *Server) finish(w http.ResponseWriter, page string, d deed, count int) error {
	setCookie(w, s.doneCookie(), string(d)+"."+strconv.Itoa(count), "Strict", doneWithin)
	s.seeOther(w, page)
	return nil
}

// done returns what the form before has done, and forgets it.
func (s *Server) done(w http.ResponseWriter, r *http.Request) said {
	value, ok := onlyCookie(r, s.doneCookie())
	if !ok {
		return nil
	}
	setCookie(w, s.doneCookie(), "", "Strict", 0)
	code, number, _ := strings.Cut(value, ".")
	count, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil
	}
	return s.words(deed(code), int(count))
}
