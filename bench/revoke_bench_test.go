package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// BenchmarkRevokeBehindProxies measures how long a visitor is still let through after a revocation, by
// nginx, Caddy and HAProxy with the configurations that the program prints, and by the gateway as
// the proxy. A visitor asks all the time, on one connection. The time is from sending the
// revocation, with wait=all, until the first refusal has arrived. b.N is the number of revocations
// of each proxy and carrier. A request that is let through after the receipt of its revocation
// has come is a failure. Run it with -benchtime 100x.
func BenchmarkRevokeBehindProxies(b *testing.B) {
	names := []string{"nginx", "caddy", "haproxy", "gateway as the proxy"}
	g := newGateways(b, names[:3]...)
	edges := map[string]program{"gateway as the proxy": g.proxy}
	for _, proxy := range names[:3] {
		edges[proxy] = g.front(proxy, g.questions)
	}
	took := map[string][]float64{}
	for b.Loop() {
		for _, name := range names {
			for carrier, c := range map[string]counterfoil.Carrier{"jwt": counterfoil.CarrierBearer, "cookie": counterfoil.CarrierCookie} {
				took[name+" "+carrier] = append(took[name+" "+carrier], g.revoke(name, edges[name].at, c))
			}
		}
	}
	b.Logf("%-28s %8s %8s %8s", "milliseconds", "p50", "p99", "max")
	for _, name := range names {
		for _, carrier := range []string{"jwt", "cookie"} {
			all := took[name+" "+carrier]
			slices.Sort(all)
			p99 := all[(len(all)*99+99)/100-1]
			b.Logf("%-28s %8.1f %8.1f %8.1f", name+" "+carrier, all[len(all)/2], p99, all[len(all)-1])
			b.ReportMetric(p99, strings.ReplaceAll(name, " ", "-")+"-"+carrier+"-p99-ms")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// revoke signs somebody in, who asks at address, ends the session, and returns for how many milliseconds
// it was still let through.
func (g *gateways) revoke(name, address string, carrier counterfoil.Carrier) float64 {
	b := g.b
	in := g.issuer.Login("bob", carrier, "staff")
	credential := "Authorization: Bearer " + in.Access.Reveal()
	if carrier.Transport == counterfoil.Cookie {
		credential = "Cookie: " + source.InsecureCookieName + "=" + in.Access.Reveal()
	}
	host := address
	if address == g.proxy.at {
		host = "localhost"
	}
	request := []byte("GET /reports/7 HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Replace(visitor(credential), "text/html", "application/json", 1))
	ask := func(v *visit) int {
		status, err := v.ask(request)
		if err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		return status
	}
	v := newVisit(b, address)
	defer v.conn.Close()
	for range 20 {
		if status := ask(v); status != 200 {
			b.Fatalf("%s: a session = %d", name, status)
		}
	}
	begun, receipt := time.Now(), make(chan error, 1)
	go func() { receipt <- g.revocation(in.Session.ID) }()
	refused := time.Duration(0)
	for refused == 0 {
		received := len(receipt) > 0
		switch status := ask(v); {
		case status == 401:
			refused = time.Since(begun)
		case received:
			b.Fatalf("%s: a request after the receipt = %d", name, status)
		case status != 200 || time.Since(begun) > 10*time.Second:
			b.Fatalf("%s: a session that is being revoked = %d after %v", name, status, time.Since(begun))
		}
	}
	if err := <-receipt; err != nil {
		b.Fatal(err)
	}
	for range 5 {
		v := newVisit(b, address) // a refusal may end the connection
		if status := ask(v); status != 401 {
			b.Fatalf("%s: a request after the receipt = %d", name, status)
		}
		_ = v.conn.Close()
	}
	return float64(refused.Microseconds()) / 1000
}

// revocation ends a session, and returns when every verifier has said that it knows.
func (g *gateways) revocation(session string) error {
	body := `{"scope":"session","id":"` + session + `","wait":"all"}`
	r, err := http.NewRequest("POST", g.issuer.URL+"/v1/admin/revocations", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+g.issuer.APIKey)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var receipt struct{ Confirmed bool }
	if err := json.Unmarshal(data, &receipt); err != nil {
		return err
	}
	if !receipt.Confirmed {
		return fmt.Errorf("not confirmed: %s %s", res.Status, data)
	}
	return nil
}
