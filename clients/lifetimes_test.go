package clients_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Lifetimes are written as people write them, and are read back as they were.
func TestLifetimeText(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"90s": 90 * time.Second, "1m30s": 90 * time.Second, "15m": 15 * time.Minute, "8h": 8 * time.Hour, "1h30m": 90 * time.Minute,
		"8h0m30s": 8*time.Hour + 30*time.Second, "24h0m0s": 24 * time.Hour, "": 0, "0s": 0, "10h10m10s": 10*time.Hour + 10*time.Minute + 10*time.Second,
	} {
		var l clients.Lifetime
		if err := l.UnmarshalText([]byte(text)); err != nil || time.Duration(l) != d {
			t.Errorf("%q = %v, %v, want %v", text, l, err, d)
		}
		var again clients.Lifetime
		if err := again.UnmarshalText([]byte(l.String())); err != nil || again != l {
			t.Errorf("%q is written as %q, which is %v, %v", text, l, again, err)
		}
	}
	for d, want := range map[time.Duration]string{15 * time.Minute: "15m", 8 * time.Hour: "8h", 10 * time.Second: "10s", 70 * time.Minute: "1h10m", time.Hour + time.Second: "1h0m1s"} {
		if got := clients.Lifetime(d).String(); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	for _, text := range []string{"90", "-5m", "1.5s", "1d", "soon", "5 m", "99999999h"} {
		l := clients.Lifetime(7)
		if err := l.UnmarshalText([]byte(text)); !errors.Is(err, clients.ErrBadRequest) || l != 7 {
			t.Errorf("%q = %v, %v, want ErrBadRequest", text, l, err)
		}
	}
}

// A client has the lifetimes that it was set, those of the server besides, and none in its record that it
// was not set.
func TestLifetimesAreKept(t *testing.T) {
	db := memory.New()
	g := open(t, db, db)
	set(t, g, "app", clients.Client{Lifetimes: lifetimes(time.Minute, 0, 0, 8*time.Hour)})
	c, err := open(t, db, db).Client(t.Context(), "app")
	if err != nil || c.Lifetimes != lifetimes(time.Minute, 0, 0, 8*time.Hour) {
		t.Fatalf("Client = %+v, %v", c, err)
	}
	if got, want := g.InForce(c), lifetimes(time.Minute, time.Hour, 24*time.Hour, 8*time.Hour); got != want {
		t.Errorf("InForce = %+v, want %+v", got, want)
	}
	if data, err := json.Marshal(c); err != nil || string(data) != `{"access_ttl":"1m","absolute":"8h"}` {
		t.Errorf("it is kept as %s, %v", data, err)
	}
}
