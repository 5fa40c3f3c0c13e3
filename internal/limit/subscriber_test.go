package limit

import (
	"net/netip"
	"testing"
)

func TestSubscriber(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":          "192.0.2.7",
		"::ffff:192.0.2.7":   "192.0.2.7", // IPv4 in the form of IPv6
		"2001:db8:1:2:3::4":  "2001:db8:1:2::",
		"2001:db8:1:2::":     "2001:db8:1:2::",
		"2001:db8:1:3::4":    "2001:db8:1:3::",
		"fe80::1:2:3:4%eth0": "fe80::",
	} {
		if got := Subscriber(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if Subscriber(netip.Addr{}).IsValid() {
		t.Error("no address has a subscriber")
	}
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{"2001:db8:1:2:3::4": "2001:db8:1::", "2001:db8:1:ffff::": "2001:db8:1::", "2001:db8:2::1": "2001:db8:2::"} {
		if got := Network(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"192.0.2.7", "::ffff:192.0.2.7"} {
		if got := Network(netip.MustParseAddr(text)); got.IsValid() {
			t.Errorf("%s: %s, want none", text, got)
		}
	}
}
