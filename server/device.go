package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// The device cookie tells a browser that signed an account in before from a
// stranger, so that strangers who guess at the account do not slow its owner down
// (LOGIN-09). It stays after a logout, and no session comes of it.
const (
	deviceCookie         = "__Host-Http-cf_dev"
	insecureDeviceCookie = "cf_dev"
	deviceAge            = 400 * 24 * 3600 // seconds: the longest that browsers keep a cookie
)

func (s *Server) deviceCookie() string {
	if s.secure {
		return deviceCookie
	}
	return insecureDeviceCookie
}

// device returns what the browser shows, if it shows exactly one.
func (s *Server) device(r *http.Request) secret.String {
	if found := r.CookiesNamed(s.deviceCookie()); len(found) == 1 {
		return secret.New(found[0].Value)
	}
	return secret.String{}
}

// knowDevice marks the browser that has just signed account in. A client without cookies
// has no use for it, and somebody who is no user here has no account.
func (s *Server) knowDevice(w http.ResponseWriter, r *http.Request, c counterfoil.Carrier, account string) {
	if c.Transport == counterfoil.Cookie && account != "" {
		s.setCookie(w, s.deviceCookie(), s.flow.Device(account, s.device(r)).Reveal(), "Strict", deviceAge)
	}
}
