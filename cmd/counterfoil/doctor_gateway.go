package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// gateway says who may ask this server about requests, and whether sign-ins lead back from it.
func (d *doctor) gateway(ctx context.Context) {
	routes, err := d.proxied()
	if err != nil || routes == nil { // the rules of the settings have read the file
		return
	}
	d.ok("gateway", "%s may ask at %s about %s", strings.Join(d.GatewayProxies, ", "), d.GatewayListen, counted(len(routes), "route"))
	a, err := d.running(ctx)
	if err != nil || a == nil { // keys has said so
		return
	}
	defer a.close()
	id := cmp.Or(d.GatewayClient, clients.Default)
	client, err := a.RegisteredClient(ctx, id)
	if err != nil && answered(err) != http.StatusNotFound {
		d.unreachable("gateway", err, "")
		return
	}
	if missing := notLedBack(routes, client.Origins, d.Issuer); missing != nil {
		d.add("gateway", isWarn, "the sign-in page leads nobody back to "+strings.Join(missing, ", ")+": the client "+id+" does not list it",
			"counterfoil client set "+id+" --origin "+strings.Join(slices.Concat(client.Origins, missing), " --origin "))
	}
}

// notLedBack are the origins of routes to which people sign in, and a sign-in may not lead: they are
// neither that of the issuer nor listed.
func notLedBack(routes []gateway.Route, listed []string, issuer string) (missing []string) {
	if own, err := urls.Issuer(issuer); err == nil {
		listed = append(slices.Clone(listed), urls.OriginOf(own))
	}
	for _, r := range routes {
		if !r.Anonymous && r.Transport != counterfoil.Header && !slices.Contains(listed, r.Origin) && !slices.Contains(missing, r.Origin) {
			missing = append(missing, r.Origin)
		}
	}
	return missing
}
