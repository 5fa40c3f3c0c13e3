package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// readJSON reads the body into v: one JSON object, of the right type, with no
// member twice, none that v does not have and none that is too long.
//
// The media type is checked because a form on another site can post text/plain
// that happens to be JSON, but not application/json (CSRF-09).
func readJSON(r *http.Request, v any) error {
	if !oneMedia(r, "application/json") {
		return &source.Problem{Status: http.StatusUnsupportedMediaType, Type: "unsupported-media-type", Title: "Unsupported media type", Detail: "Send application/json."}
	}
	data, err := io.ReadAll(r.Body)
	if errors.As(err, new(*http.MaxBytesError)) { // see limited
		return errTooLarge
	}
	if err != nil {
		return badRequest("the body could not be read")
	}
	return bind(data, v)
}

// bind reads a JSON object into v, for readJSON and for objects inside its body.
func bind(data []byte, v any) error {
	known := membersOf(reflect.TypeOf(v).Elem())
	// encoding/json lets the last of two equal members win; a proxy in front may
	// read the first. Only a body with one meaning is accepted.
	err := token.ReadObject(data, func(name string, v *token.Value) error {
		if err := shortName("member", name); err != nil {
			return err
		}
		// Compared exactly: encoding/json would bind "Password" as well, and of
		// "password" and "PASSWORD" the last.
		if !slices.Contains(known, name) {
			return badMember(name, "unknown member %q", name)
		}
		value, err := v.Raw()
		switch {
		case err != nil:
			return err
		case value == "null":
			return badMember(name, "member %q is null: leave it out", name)
		}
		if err := shortMember(name, value); err != nil {
			return inField{err, name}
		}
		return nil
	})
	if _, told := errors.AsType[*source.Problem](err); told {
		return err
	}
	if err != nil {
		return badRequest("the body is not one JSON object without duplicate members")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return wrongMember(err)
	}
	return nil
}

// membersOf returns the names that a body of type t may have, those of embedded
// structs included.
func membersOf(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// wrongMember says which member has a value that it cannot have, and never the value.
func wrongMember(err error) error {
	if wrong, is := errors.AsType[*json.UnmarshalTypeError](err); is && wrong.Field != "" {
		name := wrong.Field[strings.LastIndex(wrong.Field, ".")+1:] // behind the names of embedded structs
		return badMember(name, "member %q has the wrong type", name)
	}
	if _, is := errors.AsType[*time.ParseError](err); is { // its text has the value
		return badRequest("a time is written as 2006-01-02T15:04:05Z")
	}
	return badRequest("%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), check.ErrBadRequest.Error()+": ")) // the title says that
}

// readForm reads an application/x-www-form-urlencoded body into r.PostForm. It refuses
// parameters that are too long, and those that are given twice (RFC 6749 section 3.1), except
// resource, of which a client may name several (RFC 8707 section 2).
func readForm(r *http.Request) error {
	if !oneMedia(r, "application/x-www-form-urlencoded") {
		return &source.Problem{Status: http.StatusUnsupportedMediaType, Type: "unsupported-media-type", Title: "Unsupported media type", Detail: "Send application/x-www-form-urlencoded."}
	}
	data, err := io.ReadAll(r.Body)
	if errors.As(err, new(*http.MaxBytesError)) { // see limited
		return errTooLarge
	}
	if err != nil {
		return badRequest("the form could not be read")
	}
	if r.PostForm, err = parameters(string(data)); err != nil {
		return err
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" && name != "audience" { // RFC 8693 section 2.1
			return badRequest("parameter %q is given twice", name)
		}
	}
	return shortValues(r.PostForm)
}

// oneMedia reports whether r says once that its body is of that media type.
func oneMedia(r *http.Request, want string) bool {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(types[0])
	return err == nil && media == want
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	writeBody(w, status, data)
	return nil
}

// writeBody writes JSON that is encoded already.
func writeBody(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
}

// onMachine is the key of the context value of a request to [Server.LocalAdmin].
type onMachine struct{}

// address is the peer's; a proxy's headers are not believed here. Only a caller of
// [Server.LocalAdmin] has none, which means that no rate holds for it (LOGIN-10). All others whose
// address is not known, as behind a Unix socket, are one stranger: the unspecified address.
func address(r *http.Request) netip.Addr {
	addr := forwarded.Peer(r.RemoteAddr)
	if bare, err := netip.ParseAddr(r.RemoteAddr); err == nil { // some middleware leaves the port out
		addr = bare.Unmap().WithZone("")
	}
	if !addr.IsValid() && r.Context().Value(onMachine{}) == nil {
		return netip.IPv6Unspecified()
	}
	return addr
}

// act is what r does, for the audit trail. By is the caller that was authenticated; empty if
// nobody was.
func act(w http.ResponseWriter, r *http.Request, by, reason string) audit.Act {
	return audit.Act{By: by, Address: address(r), Request: w.Header().Get(requestHeader), Reason: reason}
}

// signedIn authenticates the caller by a session credential that opens its account. The
// issuer decides from its store, so a revoked session is refused here at once.
func (s *Server) signedIn(r *http.Request) (*counterfoil.Session, error) {
	return s.carried(r, s.issuer.Account)
}

// visiting is signedIn for what an impersonation may do, too.
func (s *Server) visiting(r *http.Request) (*counterfoil.Session, error) {
	return s.carried(r, s.issuer.Visit)
}

// carried returns the session that resolve finds for what r carries. The transport in it is
// the one that it came by.
func (s *Server) carried(r *http.Request, resolve func(context.Context, string, counterfoil.Transport) (*counterfoil.Session, error)) (*counterfoil.Session, error) {
	name, _ := s.cookieNames()
	cred, err := source.FindCredential(r, name)
	if err != nil {
		return nil, err
	}
	found, err := resolve(r.Context(), cred.Value, cred.Transport)
	if err != nil {
		return nil, err
	}
	if cred.Transport == counterfoil.Cookie {
		if err := s.checkSite(r, found); err != nil {
			return nil, err
		}
	}
	session := *found // sessions are shared: the transport is set on a copy
	session.Carrier.Transport = cred.Transport
	return &session, nil
}

// held resolves what r carries without asking whether it is over, see [issuer.Issuer.Held].
func (s *Server) held(ctx context.Context, credential string, _ counterfoil.Transport) (*counterfoil.Session, error) {
	return s.issuer.Held(ctx, credential)
}

func levelFor(status int) slog.Level {
	if status == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// attrs never holds a query, a header or a body: any of them may be a secret.
func attrs(r *http.Request, id string, status int, err error) []slog.Attr {
	return []slog.Attr{
		slog.String("request", id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.String("error", err.Error()),
	}
}
