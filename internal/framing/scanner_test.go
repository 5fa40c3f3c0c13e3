package framing_test

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/framing"
	"github.com/counterfoil/counterfoil/internal/framing/framingtest"
)

// verdict is what a scanner says of bytes that come in pieces of that size: how many are good, what is
// wrong with the next one, and where requests end.
type verdict struct {
	good  int
	fault framing.Fault
	ends  []int
	body  bool // the fault is in a body
}

func judge(data []byte, size int) (v verdict) {
	var s framing.Scanner
	for v.good < len(data) && v.fault == framing.None {
		n, fault := s.Scan(data[v.good:min(v.good+size, len(data))])
		v.good, v.fault = v.good+n, fault
		if fault == framing.None && s.Between() {
			v.ends = append(v.ends, v.good)
		}
	}
	v.body = s.InBody()
	return v
}

// GW-18
func TestGood(t *testing.T) {
	for name, request := range framingtest.Good {
		v := judge([]byte(request+framingtest.Good["no body"]), 1)
		if v.fault != framing.None || !slices.Equal(v.ends, []int{len(request), v.good}) {
			t.Errorf("%s: %q at %q, ends at %v, want %d", name, v.fault, request[min(v.good, len(request)):], v.ends, len(request))
		}
		same(t, []byte(request+framingtest.Good["no body"]))
	}
}

// GW-18
func TestBad(t *testing.T) {
	for name, c := range framingtest.Bad {
		whole := framingtest.Good["chunks"] + c.Request
		v := judge([]byte(whole), 1)
		if v.fault != c.Fault || !slices.Equal(v.ends, []int{len(framingtest.Good["chunks"])}) {
			t.Errorf("%s: %q at %q, want %q; requests end at %v", name, v.fault, whole[v.good:], c.Fault, v.ends)
		}
		same(t, []byte(whole))
	}
}

// GW-18: how bytes are cut into packets changes nothing.
func TestPieces(t *testing.T) {
	check := func(name, whole string) {
		want := judge([]byte(whole), 1)
		for at := range len(whole) {
			var s framing.Scanner
			n, fault := s.Scan([]byte(whole[:at]))
			if fault == framing.None {
				more, f := s.Scan([]byte(whole[at:]))
				n, fault = n+more, f
			}
			if n != want.good || fault != want.fault {
				t.Errorf("%s, cut at %d: %d bytes, %q; want %d, %q", name, at, n, fault, want.good, want.fault)
			}
		}
	}
	for name, request := range framingtest.Good {
		check(name, request+framingtest.Good["trailers"]+request)
	}
	for name, c := range framingtest.Bad {
		check(name, framingtest.Good["trailers"]+c.Request)
	}
}

func TestFaults(t *testing.T) {
	had := map[framing.Fault]bool{}
	for _, c := range framingtest.Bad {
		had[c.Fault] = true
	}
	for _, f := range framing.Faults {
		if !had[f] {
			t.Errorf("no request is refused with %s", f)
		}
		delete(had, f)
	}
	for f := range had {
		t.Errorf("%s is not in Faults", f)
	}
}

// same reports where net/http reads other requests than a scanner lets through.
func same(t *testing.T, data []byte) {
	t.Helper()
	v := judge(data, 1)
	after := ""
	if v.fault != framing.None && v.body {
		after = framing.Spoiled
	}
	from := strings.NewReader(string(data[:v.good]) + after)
	in := bufio.NewReader(io.MultiReader(from, failing{t, v.fault != framing.None && v.body}))
	for n := 0; ; n++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return // it refuses more, or there is no more
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if n == len(v.ends) {
			t.Fatalf("net/http reads %s %s with %d bytes after %d requests of %q", r.Method, r.URL, len(body), n, data)
		}
		if end := v.good + len(after) - from.Len() - in.Buffered(); end != v.ends[n] {
			t.Fatalf("request %d of %q ends at %d, for net/http at %d", n, data, v.ends[n], end)
		}
	}
}

// failing is the end of a connection. A reader that got Spoiled does not ask for more.
type failing struct {
	t     *testing.T
	never bool
}

func (f failing) Read([]byte) (int, error) {
	if f.never {
		f.t.Error("net/http waits for more than Spoiled")
	}
	return 0, io.EOF
}

// GW-18: net/http reads what is let through as the same requests with the same ends, and how the
// bytes are cut changes nothing.
func FuzzRequests(f *testing.F) {
	for _, request := range framingtest.Good {
		f.Add([]byte(request+request), 3)
	}
	for _, c := range framingtest.Bad {
		f.Add([]byte(framingtest.Good["chunks"]+c.Request), 7)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		same(t, data)
		whole, cut := judge(data, 1), judge(data, max(size, 1))
		if whole.good != cut.good || whole.fault != cut.fault {
			t.Errorf("%q in pieces of %d: %d bytes, %q; want %d, %q", data, size, cut.good, cut.fault, whole.good, whole.fault)
		}
	})
}

// What a usual request costs; it allocates nothing.
func BenchmarkScanner(b *testing.B) {
	request := []byte("GET /reports/7?a=b HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer " + strings.Repeat("x", 600) + "\r\n\r\n")
	var s framing.Scanner
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		if _, fault := s.Scan(request); fault != framing.None || !s.Between() {
			b.Fatal(fault)
		}
	}
}
