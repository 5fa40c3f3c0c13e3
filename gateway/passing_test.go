package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/gateway"
)

// What an upstream says before its answer goes on to the visitor, and changes nothing of the answer.
func TestEarlyHints(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "page")
	}, gateway.Route{Prefix: "/"})
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h["Link"], h["Cache-Control"]))
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, "GET", p.web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(signed(r, p.issuer.Token("alice")))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "page" || res.Header.Get("Cache-Control") != "private, no-store" || strings.Join(hints, "|") != "103 [</x.css>; rel=preload] []" {
		t.Errorf("%v %q, %v, after %q", err, body, res.Header, hints)
	}
}

// A client of HTTP/1.0 gets nothing before the answer (RFC 9110 section 15.2): nginx asks so by default, and took
// what came first for the answer. What is said to every client, as that it is to use another connection while the
// program stops, is said with the answer, and not before it.
func TestEarlyHintsToOthers(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		for range 2 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "page")
	}, gateway.Route{Prefix: "/"})
	proxy := p.gateway.Proxy()
	stopping := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		proxy.ServeHTTP(w, r)
	}))
	defer stopping.Close()
	head := "Host: " + strings.TrimPrefix(p.origin, "http://") + "\r\nAuthorization: Bearer " + p.issuer.Token("alice") + "\r\n\r\n"
	for version, want := range map[string]string{"HTTP/1.0": "200 true", "HTTP/1.1": "103 false, 103 false, 200 true"} {
		conn, err := net.Dial("tcp", stopping.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / "+version+"\r\n"+head); err != nil {
			t.Fatal(err)
		}
		var got []string
		for in, more := bufio.NewReader(conn), true; more; {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			more = res.StatusCode < 200
			got = append(got, fmt.Sprint(res.StatusCode, " ", res.Header["Connection"] != nil || res.Close))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %s", version, got, want)
		}
	}
}

// A visitor that waits for 100 sends its body only when the upstream wants it, and an upstream that
// refuses is heard at once. It hears 100 once, however often and however late the upstream says it.
func TestExpectContinue(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/again" {
			w.WriteHeader(http.StatusContinue)
		}
		_, _ = w.Write(body)
	}, gateway.Route{Prefix: "/", Anonymous: true})
	for path, want := range map[string]string{"/": "100 200", "/again": "100 200", "/refused": "413"} {
		conn, err := net.Dial("tcp", p.web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", path, strings.TrimPrefix(p.origin, "http://"))
		in, got := bufio.NewReader(conn), ""
		for {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got += fmt.Sprint(res.StatusCode); res.StatusCode != 100 {
				break
			}
			got += " "
			_, _ = io.WriteString(conn, "body")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		_ = conn.Close()
	}
}

// Trailers of an answer pass, announced and not, over HTTP/1.1 and over HTTP/2 without TLS, as gRPC
// needs it. An upstream may speak either. Those of a request do not pass: programs that take them for
// headers would believe the visitor (GW-01).
func TestTrailers(t *testing.T) {
	service := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Te") != "trailers" {
			t.Errorf("%s: TE %q", r.Proto, r.Header["Te"])
		}
		w.Header().Set("Trailer", "Announced")
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %d", body, len(r.Trailer))
		w.Header().Set("Announced", "1")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
	both := func(p *http.Protocols) {
		p.SetHTTP1(true)
		p.SetUnencryptedHTTP2(true)
	}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(service))
	upstream.Config.Protocols = new(http.Protocols)
	both(upstream.Config.Protocols)
	upstream.Start()
	t.Cleanup(upstream.Close)
	address := upstream.Listener.Addr().String()
	for _, up := range []string{"http", "h2c"} {
		g := newBalanced(t, gateway.Route{Upstreams: []string{up + "://" + address}}).gateway
		web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = "app.example.com"
			r.TLS = &tls.ConnectionState{} // as if it had come so
			g.Proxy().ServeHTTP(w, r)
		}))
		web.Config.Protocols = upstream.Config.Protocols
		web.Start()
		for _, down := range []string{"HTTP/1.1", "HTTP/2.0"} {
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(down == "HTTP/1.1")
			transport.Protocols.SetUnencryptedHTTP2(down == "HTTP/2.0")
			r, err := http.NewRequestWithContext(context.Background(), "POST", web.URL, io.NopCloser(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Te", "trailers")
			r.Trailer = http.Header{"Counterfoil-Subject": {"root"}}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || res.Proto != down || string(got) != "body 0" || res.Trailer.Get("Announced") != "1" || res.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("%s to %s: %v %s %q %v", down, up, err, res.Proto, got, res.Trailer)
			}
			transport.CloseIdleConnections()
		}
		web.Close()
	}
}

// An upstream may have TLS, and then speaks HTTP/2 if it can. Its certificate must be good.
func TestUpstreamTLS(t *testing.T) {
	service := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(service.Close)
	if w := newBalanced(t, gateway.Route{Upstreams: []string{service.URL}}).ask("GET", ""); w.Code != 502 {
		t.Errorf("a certificate that nobody knows = %d, want 502", w.Code)
	}
}

// An answer without a type has none behind the gateway: a browser that may not guess does not show it as a page.
func TestAnswersWithoutAType(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, "<html><script>1</script>")
	}, gateway.Route{Prefix: "/", Anonymous: true})
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	for name, transport := range map[string]http.RoundTripper{"HTTP/1.1": http.DefaultTransport, "HTTP/2.0": h2} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.web.URL+"/file", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK || res.Proto != name || res.Header["Content-Type"] != nil {
			t.Errorf("%s: %s %v, %v; want no Content-Type", name, res.Proto, res.Header, err)
		}
	}
}

// What a service says of where something is stays as it is, and what it compresses stays compressed.
func TestAnswersStayAsTheyAre(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Location", "http://127.0.0.1:1/x?y#z")
		h.Set("Content-Location", "../z")
		h.Set("Content-Encoding", "gzip")
		h.Set("Keep-Alive", "timeout=5")
		h.Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding")+r.Header.Get("User-Agent"))
	}, gateway.Route{Prefix: "/", Anonymous: true})
	res := p.ask("GET", "/", "", "User-Agent", "a browser")
	body, err := io.ReadAll(res.Body)
	for name, want := range map[string]string{
		"Location": "http://127.0.0.1:1/x?y#z", "Content-Location": "../z", "Content-Encoding": "gzip", "Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Keep-Alive": "",
	} {
		if got := strings.Join(res.Header[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if err != nil || res.StatusCode != http.StatusTeapot || string(body) != "a browser" {
		t.Errorf("%v %d %q", err, res.StatusCode, body)
	}
}
