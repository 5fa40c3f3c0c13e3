package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// A device credential tells a client that signed an account in before from a stranger, so
// that strangers who guess at the account do not slow its owner down (LOGIN-09). It stays
// after a logout, and no session comes of it. A browser has it in a cookie; a client that
// has its session in a header gets it in the answer, and shows it in a header.
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

// device returns what the client shows, if it shows exactly one.
func (s *Server) device(r *http.Request) secret.String {
	switch headers := r.Header.Values(api.DeviceHeader); {
	case len(headers) == 1 && len(headers[0]) <= maxField:
		return secret.New(headers[0])
	case len(headers) > 0:
		return secret.String{}
	}
	value, _ := onlyCookie(r, s.deviceCookie())
	return secret.New(value)
}

// knowDevice marks the client that has just signed account in: a browser by a cookie, others
// by what it returns for the answer. Somebody who is no user here has no account.
func (s *Server) knowDevice(w http.ResponseWriter, r *http.Request, c counterfoil.Carrier, account string) secret.String {
	if account == "" {
		return secret.String{}
	}
	device := s.flow.Device(account, s.device(r))
	if c.Transport != counterfoil.Cookie && !wantsRefreshCookie(r) {
		return device
	}
	setCookie(w, s.deviceCookie(), device.Reveal(), "Strict", deviceAge)
	return secret.String{}
}
