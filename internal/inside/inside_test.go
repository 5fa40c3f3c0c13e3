package inside_test

import (
	"net/netip"
	"testing"

	"github.com/counterfoil/counterfoil/internal/inside"
)

// OPS-08: what is inside, in each form that an address can have.
func TestTable(t *testing.T) {
	const never, within, public = "never", "inside", "public"
	for text, want := range map[string]string{
		"127.0.0.1": within, "127.255.255.255": within, "::1": within, "::ffff:127.0.0.1": within, "::127.0.0.1": within,
		"64:ff9b::7f00:1": within, "2002:7f00:1::": within, "64:ff9b:1::7f00:1": within, "2001:0:7f00:1::": within,
		"10.0.0.1": within, "172.16.0.1": within, "172.31.255.255": within, "192.168.1.1": within, "64:ff9b::a00:1": within, "2002:c0a8:101::1": within,
		"100.64.0.1": within, "198.18.0.1": within, "192.0.2.1": within, "240.0.0.1": within, "0.1.2.3": within,
		"169.254.1.2": within, "fe80::1%eth0": within, "fd00::1": within, "fc00::1": within, "fec0::1": within, "100::1": within, "5f00::1": within, "2001:db8::1": within,

		"169.254.169.254": never, "::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "2002:a9fe:a9fe::1": never, "fd00:ec2::254": never,
		"168.63.129.16": never, "100.100.100.200": never, "fe80::a9fe:a9fe%eth0": never, "0.0.0.0": never, "::": never, "::ffff:0.0.0.0": never,
		"224.0.0.1": never, "ff02::1": never, "255.255.255.255": never,

		"93.184.216.34": public, "::ffff:93.184.216.34": public, "64:ff9b::5db8:d822": public, "2002:5db8:d822::1": public,
		"2606:2800:220:1::1": public, "172.32.0.1": public, "100.128.0.1": public, "2a00:1450:4001::1": public,
	} {
		ip := netip.MustParseAddr(text)
		got := public
		switch {
		case inside.Never(ip):
			got = never
		case inside.Has(ip):
			got = within
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		if inside.Never(ip) && !inside.Has(ip) {
			t.Errorf("%s is never a target, and not inside", text)
		}
	}
}
