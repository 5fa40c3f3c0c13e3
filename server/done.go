package server

import (
	"fmt"
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

	// Of the console.
	userChanged    deed = "user-changed"
	userDisabled   deed = "user-disabled"
	userEnabled    deed = "user-enabled"
	userEnded      deed = "user-ended"
	userDeleted    deed = "user-deleted"
	sessionRevoked deed = "session-revoked"
	clientSet      deed = "client-set"
	clientEnded    deed = "client-ended"
	clientDeleted  deed = "client-deleted"
	apiKeyDeleted  deed = "apikey-deleted"
	keyRotated     deed = "key-rotated"
	keyRevoked     deed = "key-revoked"
)

var inWordsOf = map[deed]string{
	passwordChanged: "Your password was changed, and every other session was ended.",
	passwordSet:     "Your password is set. Sign in with it.",
	sessionEnded:    "1 session was ended.",
	sessionGone:     "That session had ended before.",
	grantEnded:      "What that program held of the session was ended. The session goes on.",
	grantGone:       "That program held nothing of the session any more.",
	hostEnded:       "The session is signed out at that site. It goes on, and its browser is signed in there again at the next visit.",
	hostGone:        "The session was signed out at that site before.",
	ownEnded:        "This session was ended. You are signed out here.",
	noticeDismissed: "The notice was dismissed.",
	leftHere:        "You are signed out.",

	userChanged:    "The user was changed. Verifiers refuse the old roles.",
	userDisabled:   "The user was disabled, and every session was ended.",
	userEnabled:    "The user may sign in again.",
	userEnded:      "Every session of the user was ended.",
	userDeleted:    "The user was deleted, and every session was ended.",
	sessionRevoked: "The session was revoked. Every verifier refuses it within its bound.",
	clientSet:      "The settings of the client were saved.",
	clientEnded:    "Every session of the client was ended.",
	clientDeleted:  "The client was deleted, and every session of it was ended.",
	apiKeyDeleted:  "The API key was deleted.",
	keyRotated:     "Another key will sign as soon as verifiers know it.",
	keyRevoked:     "The key was revoked. Verifiers refuse every token that it has signed.",
}

// words says what was done. What no deed is says nothing.
func (d deed) words(count int) string {
	switch {
	case d != othersEnded:
		return inWordsOf[d]
	case count == 0:
		return "There were no other sessions."
	case count == 1:
		return "1 session was ended."
	}
	return fmt.Sprintf("%d sessions were ended.", count)
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
func (s *Server) done(w http.ResponseWriter, r *http.Request) string {
	value, ok := onlyCookie(r, s.doneCookie())
	if !ok {
		return ""
	}
	setCookie(w, s.doneCookie(), "", "Strict", 0)
	code, number, _ := strings.Cut(value, ".")
	count, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return ""
	}
	return deed(code).words(int(count))
}
