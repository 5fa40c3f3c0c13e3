// Command webhook receives the alerts of a monitor, and prints each once. It shows what a receiver
// must do: verify the signature over the bytes as they came, refuse an old timestamp, and drop what
// it has seen. It needs only the standard library.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 5 * time.Minute // between the clock of the sender and this one
	maxBody   = 64 << 10
	remember  = 48 * time.Hour // a sender tries for a day
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8095", "address to listen on")
	flag.Parse()
	// The secret is not a flag, because all users of the machine can see the flags of a program.
	r, err := newReceiver(os.Getenv("WEBHOOK_SECRET"), os.Stdout, time.Now)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	web := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	log.Fatal(web.Serve(listener))
}

// receiver is the handler of the webhook.
type receiver struct {
	key []byte
	out io.Writer
	now func() time.Time

	mu   sync.Mutex // guards seen and out
	seen map[string]time.Time
}

// newReceiver reads the secret: whsec_ and base64.
func newReceiver(secret string, out io.Writer, now func() time.Time) (*receiver, error) {
	encoded, found := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(key) < 24 {
		return nil, errors.New("WEBHOOK_SECRET must be whsec_ and at least 24 bytes in base64")
	}
	return &receiver{key: key, out: out, now: now, seen: map[string]time.Time{}}, nil
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
		return
	}
	id := r.Header.Get("Webhook-Id")
	if err := rc.verify(id, r.Header.Get("Webhook-Timestamp"), r.Header.Get("Webhook-Signature"), body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var alert struct {
		Type string
		Data struct{ Check, Text string }
	}
	if err := json.Unmarshal(body, &alert); err != nil {
		http.Error(w, "the body is no JSON", http.StatusBadRequest)
		return
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	now := rc.now()
	for old, at := range rc.seen {
		if now.Sub(at) > remember {
			delete(rc.seen, old)
		}
	}
	if _, twice := rc.seen[id]; !twice {
		// What must happen once happens here. A receiver that keeps something in a database writes
		// the id in the same transaction.
		rc.seen[id] = now
		fmt.Fprintf(rc.out, "%s %s %q %q\n", id, alert.Type, alert.Data.Check, alert.Data.Text)
	}
	w.WriteHeader(http.StatusNoContent)
}

// verify reports whether the request comes from the sender who has the secret, and is not an old one
// that somebody sends again.
func (rc *receiver) verify(id, timestamp, signatures string, body []byte) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" {
		return errors.New("the request is not signed")
	}
	if age := rc.now().Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return errors.New("the timestamp is more than five minutes off")
	}
	mac := hmac.New(sha256.New, rc.key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	want := mac.Sum(nil)
	good := false
	for one := range strings.FieldsSeq(signatures) {
		version, encoded, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(got, want) { // in constant time
			good = true
		}
	}
	if !good {
		return errors.New("no signature is right")
	}
	return nil
}
