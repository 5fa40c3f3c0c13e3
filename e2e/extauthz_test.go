package e2e_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clusters "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3" // for the @type
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	httptype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/envoyauth"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// envoy asks a gateway as Envoy does, with Envoy's own types.
type envoy struct {
	*testing.T
	issuer *counterfoiltest.Issuer
	client auth.AuthorizationClient
}

func newEnvoy(t *testing.T, credentials credentials.TransportCredentials, args ...string) *envoy {
	is, dir, at := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	const app = "https://app.example.com"
	routes := fmt.Sprintf("routes:\n  - {origin: %[1]q, prefix: /}\n  - {origin: %[1]q, prefix: /public, anonymous: true}\n  - {origin: %[1]q, prefix: /admin, require: {roles: [admin]}}\n  - {origin: %[1]q, prefix: /remote, identity: remote}\n", app)
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--sign-in", app + "/login", "--trusted-proxies", "127.0.0.1/32", "--listen", "127.0.0.1:0", "--ops-listen", "off", "--ext-authz-listen", at}, args...)
	listen(t, gatewayCommand(is.URL, is.APIKey, filepath.Join(dir, "routes.yaml"), args...), at)
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(credentials))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &envoy{t, is, auth.NewAuthorizationClient(conn)}
}

// question is one with every field that Envoy sets, about a path, with these headers of the visitor.
func (e *envoy) question(method, path string, header ...string) *auth.CheckRequest {
	e.Helper()
	text, err := os.ReadFile("testdata/check-request.json")
	if err != nil {
		e.Fatal(err)
	}
	q := new(auth.CheckRequest)
	if err := protojson.Unmarshal(text, q); err != nil {
		e.Fatal(err)
	}
	about := q.Attributes.Request.Http
	about.Method, about.Headers[":method"] = method, method
	about.Path, about.Headers[":path"] = path, path
	for n := 0; n < len(header); n += 2 {
		about.Headers[header[n]] = header[n+1]
	}
	return q
}

func (e *envoy) ask(q *auth.CheckRequest) *auth.CheckResponse {
	e.Helper()
	said, err := e.client.Check(e.Context(), q)
	if err != nil {
		e.Fatalf("an error of gRPC, after which Envoy may let the request pass: %v", err)
	}
	if err := said.ValidateAll(); err != nil {
		e.Errorf("not what Envoy's API says: %v", err)
	}
	return said
}

// apply makes of a visitor's headers what Envoy makes of them after an answer that lets the
// request pass.
func apply(visitor map[string]string, ok *auth.OkHttpResponse) map[string]string {
	sent := maps.Clone(visitor)
	for _, option := range ok.GetHeaders() {
		name, value := option.GetHeader().GetKey(), option.GetHeader().GetValue()
		switch {
		//lint:ignore SA1019 Envoy reads it first
		case option.GetAppend().GetValue(), option.GetAppend() == nil && option.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			sent[name] = strings.TrimPrefix(sent[name]+","+value, ",")
		default:
			sent[name] = value
		}
	}
	for _, name := range ok.GetHeadersToRemove() {
		delete(sent, name)
	}
	return sent
}

func told(options []*core.HeaderValueOption) map[string]string {
	all := map[string]string{}
	for _, o := range options {
		all[o.GetHeader().GetKey()] = o.GetHeader().GetValue()
	}
	return all
}

// GW-01 to GW-03, GW-05, GW-07, GW-10, GW-22, GW-25: Envoy's own client gets from the program
// what the other proxies get.
func TestEnvoyGRPC(t *testing.T) {
	t.Parallel()
	e := newEnvoy(t, insecure.NewCredentials())
	in := e.issuer.Login("alice", counterfoil.CarrierBearer, "staff", "ops")
	bearer := []string{"authorization", "Bearer " + in.Access.Reveal()}

	// Who may pass is told as they are, and not as they say.
	q := e.question("GET", "/x?a=%2F&b", append(bearer, "counterfoil-subject", "root,toor", "counterfoil-roles", "admin", "remote-user", "root")...)
	said := e.ask(q)
	sent := apply(q.Attributes.Request.Http.Headers, said.GetOkResponse())
	if said.GetStatus().GetCode() != int32(codes.OK) || sent["counterfoil-subject"] != "alice" || sent["counterfoil-roles"] != "staff ops" || sent["counterfoil-session"] != in.Session.ID {
		t.Errorf("allowed: %v", said)
	}
	for name, value := range sent {
		if strings.Contains(value, "root") || strings.Contains(value, "admin") || strings.Contains(value, in.Access.Reveal()) {
			t.Errorf("the service gets %s: %s", name, value)
		}
	}
	for _, path := range []string{"/x", "/public/x"} {
		got := told(e.ask(e.question("GET", path, bearer...)).GetOkResponse().GetHeaders())
		for _, name := range slices.Concat(gateway.IdentityNames, gateway.RemoteNames) {
			if _, there := got[strings.ToLower(name)]; !there {
				t.Errorf("%s: the answer has no %s, so the visitor's would stay", path, name)
			}
		}
	}
	if got := told(e.ask(e.question("GET", "/remote", bearer...)).GetOkResponse().GetHeaders()); got["remote-user"] != "alice" {
		t.Errorf("remote: %v", got)
	}

	for name, c := range map[string]struct {
		q       *auth.CheckRequest
		status  int
		problem string
	}{
		"nobody":               {e.question("GET", "/x"), 401, "no-credential"},
		"junk":                 {e.question("GET", "/x", "authorization", "Bearer junk"), 401, "invalid-token"},
		"no role":              {e.question("GET", "/admin", bearer...), 403, "forbidden"},
		"no method":            {e.question("TRACE", "/public"), 403, "no-rule"},
		"dots":                 {e.question("GET", "/public/../x"), 400, "bad-target"},
		"encoded dots":         {e.question("GET", "/public/%2e%2e/x"), 400, "bad-target"},
		"a fragment":           {e.question("GET", "/public#x"), 400, "bad-target"},
		"an alias":             {e.question("GET", "/x", append(bearer, "counterfoil_roles", "admin")...), 400, "ambiguous-header"},
		"another origin":       {e.question("GET", "/public", "x-forwarded-proto", "http"), 403, "no-rule"},
		"from another site":    {e.question("POST", "/x", "cookie", source.InsecureCookieName+"="+e.issuer.Login("bob", counterfoil.CarrierCookie).Access.Reveal()), 403, "cross-origin"},
		"what is longer":       {e.question("GET", "/public", "x", strings.Repeat("x", 1<<20)), 400, "bad-metadata"},
		"a connection of TCP":  {&auth.CheckRequest{Attributes: &auth.AttributeContext{Source: &auth.AttributeContext_Peer{}}}, 400, "bad-metadata"},
		"a path of two others": {e.question("GET", "//admin", bearer...), 400, "bad-target"},
	} {
		said := e.ask(c.q)
		denied := said.GetDeniedResponse()
		if said.GetStatus().GetCode() == int32(codes.OK) || denied == nil || int(denied.GetStatus().GetCode()) != c.status || !strings.Contains(denied.GetBody(), "urn:counterfoil:problem:"+c.problem) {
			t.Errorf("%s: %v, want %d %s", name, said, c.status, c.problem)
		}
		head := told(denied.GetHeaders())
		if head["cache-control"] != "no-store" || head["content-type"] != "application/problem+json" || c.status == 401 != strings.HasPrefix(head["www-authenticate"], "Bearer") {
			t.Errorf("%s: headers %v", name, head)
		}
	}
	said = e.ask(e.question("GET", "/x", "accept", "text/html", "sec-fetch-mode", "navigate"))
	if head := told(said.GetDeniedResponse().GetHeaders()); said.GetDeniedResponse().GetStatus().GetCode() != httptype.StatusCode_Found || head["location"] != "https://app.example.com/.counterfoil/begin?to=%2Fx" {
		t.Errorf("a person: %v", said)
	}

	e.issuer.Revoke(source.ScopeSession, in.Session.ID)
	for range 3000 {
		if said = e.ask(e.question("GET", "/x", bearer...)); said.GetOkResponse() == nil {
			break
		}
	}
	if said.GetDeniedResponse().GetStatus().GetCode() != httptype.StatusCode_Unauthorized {
		t.Errorf("revoked: %v", said)
	}
}

// With tls_cert Envoy asks over TLS.
func TestEnvoyGRPCOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir)
	e := newEnvoy(t, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}), // the certificate of the test
		"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"))
	if said := e.ask(e.question("GET", "/public")); said.GetOkResponse() == nil {
		t.Errorf("over TLS: %v", said)
	}
}

// Our messages are Envoy's, with some of their fields: same names, numbers and types.
func TestTrimmedMessages(t *testing.T) {
	theirs := map[protoreflect.Name]proto.Message{}
	for _, m := range []proto.Message{
		&auth.CheckRequest{}, &auth.CheckResponse{}, &auth.AttributeContext{}, &auth.OkHttpResponse{}, &auth.DeniedHttpResponse{},
		&core.HeaderMap{}, &core.HeaderValue{}, &core.HeaderValueOption{}, &httptype.HttpStatus{}, &status.Status{},
	} {
		theirs[m.ProtoReflect().Descriptor().Name()] = m
	}
	file := envoyauth.File_internal_envoyauth_envoyauth_proto
	for n := range file.Messages().Len() {
		ours := file.Messages().Get(n)
		if theirs[ours.Name()] == nil {
			t.Errorf("%s is no message of Envoy", ours.Name())
			continue
		}
		sameMessage(t, ours, theirs[ours.Name()].ProtoReflect().Descriptor())
	}
	if method := auth.Authorization_Check_FullMethodName; method != envoyauth.Procedure {
		t.Errorf("the call is %s, want %s", envoyauth.Procedure, method)
	}
}

func sameMessage(t *testing.T, ours, theirs protoreflect.MessageDescriptor) {
	t.Helper()
	for n := range ours.Fields().Len() {
		is := ours.Fields().Get(n)
		want := theirs.Fields().ByNumber(is.Number())
		if want == nil || is.Name() != want.Name() || is.Kind() != want.Kind() || is.Cardinality() != want.Cardinality() || is.IsMap() != want.IsMap() ||
			is.Message() != nil && is.Message().Name() != want.Message().Name() || (is.ContainingOneof() == nil) != (want.ContainingOneof() == nil) {
			t.Errorf("%v is not %v", is, want)
			continue
		}
		if is.Enum() == nil {
			continue
		}
		for n := range is.Enum().Values().Len() {
			value := is.Enum().Values().Get(n)
			if same := want.Enum().Values().ByNumber(value.Number()); same == nil || same.Name() != value.Name() {
				t.Errorf("%v is not %v", value, same)
			}
		}
	}
	for n := range ours.Messages().Len() {
		if inner := ours.Messages().Get(n); !inner.IsMapEntry() {
			sameMessage(t, inner, theirs.Messages().ByName(inner.Name()))
		}
	}
}

// The configurations for Envoy are such by Envoy's own types: the filter, the cluster for gRPC, and the
// route by which people sign in. They never let a request pass without an answer.
func TestEnvoyConfigurations(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"envoy", "envoy-grpc"} {
		text, err := exec.Command(binary, "gateway", "snippet", proxy, "--gateway", "127.0.0.1:8086", "--upstream", "127.0.0.1:8090").Output()
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewDecoder(bytes.NewReader(text))
		next := func(want int) []map[string]any {
			var list []map[string]any
			if err := documents.Decode(&list); err != nil || len(list) != want {
				t.Fatalf("%s: %v, %d of them, want %d", proxy, err, len(list), want)
			}
			return list
		}
		config, is := next(1)[0]["typed_config"].(map[string]any)
		if !is {
			t.Fatalf("%s has no filter", proxy)
		}
		filter := new(extauthz.ExtAuthz)
		delete(config, "@type")
		readAs(t, config, filter)
		if filter.FailureModeAllow || filter.StatusOnError.GetCode() != httptype.StatusCode_ServiceUnavailable {
			t.Errorf("%s: %v", proxy, filter)
		}
		asked := filter.GetGrpcService().GetEnvoyGrpc().GetClusterName() + filter.GetHttpService().GetServerUri().GetCluster()
		ports := map[string]uint32{asked: 8086, "service": 8090}
		for _, cluster := range next(2) {
			made := new(clusters.Cluster)
			readAs(t, cluster, made)
			at := made.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
			if at.GetAddress() != "127.0.0.1" || at.GetPortValue() != ports[made.Name] || made.GetLoadAssignment().GetClusterName() != made.Name {
				t.Errorf("%s: %v", proxy, made)
			}
			delete(ports, made.Name)
		}
		if len(ports) > 0 {
			t.Errorf("%s has no cluster %v", proxy, ports)
		}
		way := new(route.Route)
		readAs(t, next(1)[0], way)
		if way.GetMatch().GetPrefix() != gateway.HandoverPrefix || way.GetRoute().GetCluster() == "" {
			t.Errorf("%s: people sign in by %v", proxy, way)
		}
	}
}

// readAs reads a configuration as a message of Envoy.
func readAs(t *testing.T, config map[string]any, m interface {
	proto.Message
	ValidateAll() error
}) {
	t.Helper()
	text, err := json.Marshal(config)
	if err == nil {
		err = protojson.Unmarshal(text, m)
	}
	if err == nil {
		err = m.ValidateAll()
	}
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
}
