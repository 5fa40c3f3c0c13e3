package extauthz_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/gateway/extauthz"
	pb "github.com/counterfoil/counterfoil/internal/envoyauth"
	"github.com/counterfoil/counterfoil/source"
)

const app = "https://app.example.com"

var noLog = slog.New(slog.DiscardHandler)

// bench is a gateway, and a client of its gRPC.
type bench struct {
	*testing.T
	issuer *counterfoiltest.Issuer
	client *http.Client
	url    string
}

func newBench(t *testing.T, trusted ...netip.Prefix) *bench {
	is := counterfoiltest.New(t)
	return benchOf(t, is, is.Verifier(), trusted...)
}

func benchOf(t *testing.T, is *counterfoiltest.Issuer, v *counterfoil.Verifier, trusted ...netip.Prefix) *bench {
	g, err := gateway.New(gateway.Options{
		Verifier: v, TrustedProxies: trusted, SignIn: app + "/auth/login",
		Routes: []gateway.Route{{Origin: app, Prefix: "/"}, {Origin: app, Prefix: "/public", Anonymous: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, is, extauthz.Handler(g, noLog))
}

// serve serves h as the program does: HTTP/2 without TLS.
func serve(t *testing.T, is *counterfoiltest.Issuer, h http.Handler) *bench {
	s := httptest.NewUnstartedServer(h)
	both, known := new(http.Protocols), new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	known.SetUnencryptedHTTP2(true)
	s.Config.Protocols = both
	s.Start()
	t.Cleanup(s.Close)
	client := &http.Client{Transport: &http.Transport{Protocols: known}}
	t.Cleanup(client.CloseIdleConnections)
	return &bench{t, is, client, s.URL}
}

func about(method, path string, header ...string) *pb.CheckRequest {
	q := &pb.AttributeContext_HttpRequest{Method: method, Host: "app.example.com", Path: path, Headers: map[string]string{
		":method": method, ":path": path, ":authority": "app.example.com", "x-forwarded-proto": "https",
	}}
	for n := 0; n < len(header); n += 2 {
		q.Headers[header[n]] = header[n+1]
	}
	return &pb.CheckRequest{Attributes: &pb.AttributeContext{Request: &pb.AttributeContext_Request{Http: q}}}
}

func (b *bench) ask(q *pb.CheckRequest) *pb.CheckResponse {
	b.Helper()
	call := connect.NewClient[pb.CheckRequest, pb.CheckResponse](b.client, b.url+extauthz.Procedure, connect.WithGRPC())
	res, err := call.CallUnary(b.Context(), connect.NewRequest(q))
	if err != nil {
		b.Fatalf("an error of gRPC, after which Envoy may let the request pass: %v", err)
	}
	return res.Msg
}

// raw sends a frame as it is, and returns the answer.
func (b *bench) raw(frame []byte) *pb.CheckResponse {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), "POST", b.url+extauthz.Procedure, bytes.NewReader(frame))
	if err != nil {
		b.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || len(data) < 5 || res.Trailer.Get("Grpc-Status") != "0" {
		b.Fatalf("%v, %d bytes, trailer %v, header %v", err, len(data), res.Trailer, res.Header)
	}
	said := new(pb.CheckResponse)
	if err := proto.Unmarshal(data[5:], said); err != nil {
		b.Fatal(err)
	}
	return said
}

func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// want checks that an answer is a refusal, with a problem of this type.
func (b *bench) want(name string, said *pb.CheckResponse, status pb.StatusCode, problem string) {
	b.Helper()
	denied := said.GetDeniedResponse()
	if said.GetStatus().GetCode() == 0 || said.GetOkResponse() != nil || denied.GetStatus().GetCode() != status || !strings.Contains(denied.GetBody(), "urn:counterfoil:problem:"+problem) {
		b.Errorf("%s: %v, want %d %s", name, said, status, problem)
	}
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// What a visitor can bring about is a refusal, and no error of gRPC: after that Envoy lets the
// request pass if failure_mode_allow is set (GW-16).
func TestNoErrorOfGRPC(t *testing.T) {
	b := newBench(t, loopback)
	good := about("GET", "/public")
	if said := b.ask(good); said.GetOkResponse() == nil {
		t.Fatalf("a page for everybody: %v", said)
	}
	b.want("longer than a message may be", b.ask(about("GET", "/public", "x", strings.Repeat("x", 128<<10))), 400, "bad-metadata")
	b.want("much longer", b.ask(about("GET", "/public", "x", strings.Repeat("x", 4<<20))), 400, "bad-metadata")
	b.want("nothing", b.raw(frame(nil)), 400, "bad-metadata")
	b.want("junk", b.raw(frame([]byte("\xff\xff\xff"))), 400, "bad-metadata")
	b.want("not about HTTP", b.ask(&pb.CheckRequest{Attributes: &pb.AttributeContext{}}), 400, "bad-metadata")

	data, err := proto.Marshal(about("GET", "/public", "cookie", "a=text"))
	if err != nil {
		t.Fatal(err)
	}
	b.want("text that is not UTF-8", b.raw(frame(bytes.Replace(data, []byte("a=text"), []byte("a=\xfe\xff\xfe\xff"), 1))), 400, "bad-metadata")
	b.want("a part, then junk", b.raw(frame(append(data, 0xff))), 400, "bad-metadata")

	two := about("GET", "/public", "host", "other.example.com")
	b.want("two hosts", b.ask(two), 400, "bad-target")
	none := about("GET", "/public")
	none.Attributes.Request.Http.Host = ""
	b.want("no host", b.ask(none), 400, "bad-target")
	scheme := about("GET", "/public")
	delete(scheme.Attributes.Request.Http.Headers, "x-forwarded-proto")
	b.want("no scheme", b.ask(scheme), 400, "bad-metadata")
	b.want("two schemes", b.ask(about("GET", "/public", "x-forwarded-proto", "https,http")), 400, "bad-target")
	b.want("no method", b.ask(about("", "/public")), 403, "no-rule")
	b.want("no path", b.ask(about("GET", "")), 400, "bad-target")
	b.want("an alias", b.ask(about("GET", "/public", "counterfoil_subject", "root")), 400, "ambiguous-header")
	b.want("an alias in capitals", b.ask(about("GET", "/public", "COUNTERFOIL.Subject", "root")), 400, "ambiguous-header")

	lines := &pb.HeaderMap{Headers: []*pb.HeaderValue{
		{Key: "x-forwarded-proto", RawValue: []byte("https")},
		{Key: "authorization", RawValue: []byte("Bearer a")}, {Key: "authorization", Value: "Bearer b"},
	}}
	raw := about("GET", "/x")
	raw.Attributes.Request.Http.Headers, raw.Attributes.Request.Http.HeaderMap = nil, lines
	b.want("two credentials", b.ask(raw), 400, "multiple-credentials")
	raw = about("GET", "/x") // x-forwarded-proto in both
	raw.Attributes.Request.Http.HeaderMap = lines
	b.want("both kinds of headers", b.ask(raw), 400, "bad-metadata")
}

// GW-05: only a trusted proxy gets an answer about a visitor.
func TestOnlyTrustedProxies(t *testing.T) {
	b := newBench(t)
	b.want("a stranger", b.ask(about("GET", "/public")), 403, "untrusted-proxy")
	b.want("a stranger with junk", b.raw(frame([]byte{0xff})), 403, "untrusted-proxy")
}

// cut is a source that loses its server.
type cut struct {
	counterfoil.Source
	lost atomic.Bool
}

func (c *cut) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if c.lost.Load() {
		return source.Page{}, errors.New("the server is lost")
	}
	f.Wait = 0
	return c.Source.Log(ctx, f)
}

// A gateway that knows too little denies (GW-16): 503, with the time to come again, and the caller
// keeps its credential.
func TestStale(t *testing.T) {
	is := counterfoiltest.New(t)
	remote, err := counterfoil.Remote(is.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	from := &cut{Source: remote}
	v, err := counterfoil.NewVerifier(t.Context(), from, counterfoil.Options{Issuer: is.URL, Audience: is.URL, Bound: 2 * time.Second, InsecureCookies: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	b := benchOf(t, is, v, loopback)
	q := about("GET", "/x", "authorization", "Bearer "+is.Token("alice"))
	if said := b.ask(q); said.GetOkResponse() == nil {
		t.Fatalf("before: %v", said)
	}
	from.lost.Store(true)
	said := b.ask(q)
	for said.GetOkResponse() != nil && t.Context().Err() == nil {
		said = b.ask(q)
	}
	b.want("stale", said, 503, "verifier-stale")
	told := map[string]string{}
	for _, h := range said.GetDeniedResponse().GetHeaders() {
		told[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	if told["retry-after"] != "1" || told["set-cookie"] != "" || told["content-type"] != "application/problem+json" {
		t.Errorf("headers of a stale answer: %v", told)
	}
	if said := b.ask(about("GET", "/public")); said.GetOkResponse() == nil {
		t.Errorf("a page for everybody, while stale: %v", said)
	}
}

// A check that panics is refused, and the log says why.
func TestPanicIsRefused(t *testing.T) {
	var text bytes.Buffer
	b := serve(t, nil, extauthz.HandlerOf(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }), slog.New(slog.NewTextHandler(&text, nil))))
	b.want("a panic", b.ask(about("GET", "/")), 500, "internal")
	if !strings.Contains(text.String(), "a fault") {
		t.Errorf("log: %s", &text)
	}
}

// A check ends when Envoy no longer waits for it.
func TestDeadline(t *testing.T) {
	var left time.Duration
	b := serve(t, nil, extauthz.HandlerOf(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if until, limited := r.Context().Deadline(); limited {
			left = time.Until(until)
		}
		w.WriteHeader(http.StatusForbidden)
	}), noLog))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	call := connect.NewClient[pb.CheckRequest, pb.CheckResponse](b.client, b.url+extauthz.Procedure, connect.WithGRPC())
	if _, err := call.CallUnary(ctx, connect.NewRequest(about("GET", "/"))); err != nil || left <= 0 || left > time.Minute {
		t.Errorf("%v, with %v left", err, left)
	}
}

// An answer of several lines is one in Envoy too: the first line of a name takes the place of what
// is there, and the others follow.
func TestLinesOfAnAnswer(t *testing.T) {
	b := serve(t, nil, extauthz.HandlerOf(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.WriteHeader(http.StatusUnauthorized)
	}), noLog))
	got := b.ask(about("GET", "/")).GetDeniedResponse().GetHeaders()
	if len(got) != 2 || got[0].GetHeader().GetKey() != "set-cookie" || got[0].GetHeader().GetValue() != "a=1" || got[1].GetHeader().GetValue() != "b=2" ||
		got[0].GetAppendAction() != pb.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || got[1].GetAppendAction() != pb.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
		t.Errorf("%v", got)
	}
}

// Nothing but the one call is answered: no reflection, no JSON, no gRPC-Web, no HTTP/1.1.
func TestNothingElse(t *testing.T) {
	b := newBench(t, loopback)
	for _, c := range []struct {
		path, kind string
		client     *http.Client
	}{
		{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/grpc", b.client},
		{"/grpc.health.v1.Health/Check", "application/grpc", b.client},
		{extauthz.Procedure, "application/json", b.client},
		{extauthz.Procedure, "application/proto", b.client},
		{extauthz.Procedure, "application/grpc-web", b.client},
		{extauthz.Procedure, "application/grpc+json", b.client},
		{extauthz.Procedure, "application/grpc", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
	} {
		res, err := c.client.Post(b.url+c.path, c.kind, bytes.NewReader(frame(nil)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s as %s: %d, want 415", c.path, c.kind, res.StatusCode)
		}
	}
}
