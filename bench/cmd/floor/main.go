// Command floor is what the benchmark of the gateway compares it with: the least that a server of
// net/http takes for the same. Its first argument is the address at which it listens.
//
//	floor ADDR                 answers 200 without a body
//	floor ADDR serve           answers 200 with 1 KiB, as a service does
//	floor ADDR redis REDIS     answers 200 without a body after one GET at a Redis: the cheapest look-up
//	floor ADDR lookup ISSUER   does so after one look-up at the auth server; the API key is in COUNTERFOIL_API_KEY
//	floor ADDR proxy UPSTREAM  passes requests on (httputil.ReverseProxy)
package main

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil"
)

// conns is as many connections as the benchmark has to the floor, and more.
const conns = 64

func main() {
	of := "answer"
	if len(os.Args) > 2 {
		of = os.Args[2]
	}
	var h http.HandlerFunc
	switch of {
	case "answer":
		h = answer
	case "serve":
		page := bytes.Repeat([]byte("0123456789abcde\n"), 64)
		h = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }
	case "redis":
		h = redis(os.Args[3])
	case "lookup":
		h = lookup(os.Args[3])
	case "proxy":
		h = proxy(os.Args[3])
	}
	log.Fatal(http.ListenAndServe(os.Args[1], h))
}

var nothing = []string{"0"}

func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Length"] = nothing
	w.WriteHeader(http.StatusOK)
}

func redis(address string) http.HandlerFunc {
	type conn struct {
		net.Conn
		in *bufio.Reader
	}
	idle := make(chan conn, conns)
	for range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		idle <- conn{c, bufio.NewReader(c)}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		c := <-idle
		defer func() { idle <- c }()
		if _, err := io.WriteString(c, "GET session\r\n"); err != nil {
			log.Fatal(err)
		}
		for range 2 { // the length, and the value
			if _, err := c.in.ReadSlice('\n'); err != nil {
				log.Fatal(err)
			}
		}
		answer(w, r)
	}
}

func lookup(issuer string) http.HandlerFunc {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = conns
	source, err := counterfoil.Remote(issuer, counterfoil.RemoteOptions{Credential: os.Getenv("COUNTERFOIL_API_KEY")})
	if err != nil {
		log.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if c, err := r.Cookie("cf"); err == nil {
			credential = c.Value
		}
		if _, err := source.Lookup(r.Context(), credential); err != nil {
			log.Print(err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, r)
	}
}

func proxy(upstream string) http.HandlerFunc {
	to, err := url.Parse(upstream)
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = conns
	p := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to) }, Transport: transport}
	return p.ServeHTTP
}
