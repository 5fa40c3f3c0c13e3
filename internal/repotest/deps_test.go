package repotest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/counterfoil/counterfoil"

// layers is the table of docs/architecture.md. Each package imports from this module
// only what its row lists, and from other modules only those that its row lists.
var layers = map[string]struct {
	imports []string // packages of this module, relative; "..." at the end covers a tree
	modules []string
	reason  string
}{
	"/internal/token":   {nil, nil, "pure functions on the standard library"},
	"/internal/secret":  {nil, nil, "every package may use it"},
	"/internal/limit":   {nil, nil, "an algorithm"},
	"/internal/pack":    {nil, nil, "an algorithm"},
	"/internal/clock":   {nil, nil, "reads clocks"},
	"/internal/inside":  {nil, nil, "a table of addresses"},
	"/internal/dial":    {[]string{"/internal/inside"}, nil, "connects, and knows nothing of what is said"},
	"/internal/outward": {[]string{"/internal/inside"}, nil, "connects and sends, and knows nothing of what is said"},

	"/internal/forwarded": {nil, nil, "an algorithm"},
	"/internal/urls":      {nil, nil, "an algorithm"},
	"/internal/wholefile": {nil, nil, "an algorithm"},
	"/internal/private":   {nil, nil, "asks the system who owns what"},
	"/internal/check":     {nil, nil, "an algorithm"},
	"/internal/catalog":   {nil, nil, "reads texts, and knows nothing of what they say"},
	"/internal/retry":     {nil, nil, "an algorithm"},
	"/internal/textfile":  {[]string{"/internal/check"}, nil, "reads files, and knows nothing of what they are for"},
	"/internal/rows":      {nil, nil, "writes text, and knows nothing of what it says"},
	"/internal/coalesce":  {nil, nil, "an algorithm"},
	"/internal/config":    {[]string{"/internal/private", "/internal/secret", "/internal/textfile"}, []string{"go.yaml.in/yaml/v3"}, "knows no setting of any program"},

	"/internal/mailaddress": {nil, []string{"golang.org/x/net"}, "an algorithm"},

	"/internal/ops": {[]string{"/internal/check", "/internal/config", "/internal/forwarded", "/internal/framing", "/internal/limit", "/internal/private", "/internal/refusal", "/internal/request", "/internal/secret", "/internal/textfile", "/internal/urls"}, []string{"github.com/prometheus/client_golang"}, "serves handlers, and knows nothing of what they do"},

	"/internal/framing":             {nil, nil, "reads bytes, and knows no URL"},
	"/internal/framing/framingtest": {[]string{"/internal/framing"}, nil, "requests for tests"},

	"/internal/hostcert": {[]string{"/internal/private", "/internal/textfile", "/internal/wholefile"}, []string{"golang.org/x/crypto"}, "certificates of names: it knows no route"},
	"/internal/tunnel":   {nil, nil, "carries bytes, and knows nothing of sessions"},
	"/internal/markdown": {nil, nil, "reads text"},
	"/internal/repotest": {[]string{"/internal/markdown"}, nil, "reads the repository, and runs nothing of it"},

	"/internal/envoyauth":  {nil, []string{"google.golang.org/protobuf"}, "messages of Envoy"},
	"/internal/revocation": {[]string{"/internal/token"}, nil, "words, and what they mean"},
	"/internal/refusal":    {nil, nil, "errors, and how HTTP says them"},
	"/internal/resource":   {[]string{"/internal/urls"}, nil, "a document, and where it is"},
	"/internal/request":    {[]string{"/internal/refusal"}, nil, "reads a request, and decides about no session"},

	"/client": {nil, nil, "a file for browsers"},

	"/choose": {nil, nil, "rules, and the answers that they give: no I/O"},

	"/inspect/inspector": {[]string{"/inspect/rulebook"}, nil, "a page and its policy: it serves nothing, and looks at no token in Go"},
	"/inspect/rulebook":  {nil, nil, "what is said of tokens, as data: a server carries it, and no library for it"},

	"/inspect": {[]string{"/inspect/rulebook", "/internal/check", "/internal/token"}, []string{"github.com/go-jose/go-jose"}, "pure functions for people who look for a fault; no I/O, and nothing that checks requests"},

	"":                 {[]string{"/internal/clock", "/internal/dial", "/internal/refusal", "/internal/request", "/internal/resource", "/internal/revocation", "/internal/token", "/internal/urls"}, nil, "services import it: it brings nothing and cannot reach the server"},
	"/source":          {[]string{"", "/internal/refusal", "/internal/request", "/internal/revocation"}, nil, "names for those who write a source, a server or an adapter: it decides nothing"},
	"/gateway":         {[]string{"", "/internal/dial", "/internal/forwarded", "/internal/limit", "/internal/refusal", "/internal/request", "/internal/resource", "/internal/token", "/internal/tunnel", "/internal/urls"}, []string{"go.yaml.in/yaml/v3"}, "a verifier and routes: it can reach no store, and signs with keys of its own"},
	"/monitor":         {[]string{"/internal/check", "/internal/config", "/internal/inside", "/internal/mailaddress", "/internal/outward", "/internal/private", "/internal/secret", "/internal/textfile", "/rights"}, []string{"go.yaml.in/yaml/v3"}, "checks and what they mean: it can reach no store, and tells nobody itself"},
	"/monitor/alert":   {[]string{"/internal/check", "/internal/outward", "/internal/retry", "/monitor"}, nil, "sends what it is told to send: it can reach no store"},
	"/monitor/kept":    {[]string{"", "/audit", "/internal/check", "/monitor", "/rights", "/store"}, nil, "keeps, and sends nothing itself"},
	"/rights":          {[]string{"/internal/refusal"}, nil, "names of rights, and who has them: every package that administers asks it"},
	"/store":           {[]string{"", "/source"}, nil, "a contract, not an engine"},
	"/login":           {[]string{"/internal/secret"}, nil, "types only"},
	"/audit":           {[]string{"", "/internal/check", "/source", "/store"}, nil, "records what others do, and does nothing itself"},
	"/store/memory":    {[]string{"", "/internal/pack", "/source", "/store"}, nil, "engines share no code but the packing of values"},
	"/store/sqlite":    {[]string{"", "/source", "/store"}, []string{"modernc.org/sqlite", "github.com/pressly/goose"}, "engines share no code"},
	"/store/postgres":  {[]string{"", "/source", "/store"}, []string{"github.com/jackc/pgx", "github.com/pressly/goose"}, "engines share no code"},
	"/store/redis":     {[]string{"", "/internal/pack", "/internal/textfile", "/source", "/store"}, []string{"github.com/redis/rueidis"}, "engines share no code but the packing of values"},
	"/store/storetest": {[]string{"", "/source", "/store"}, nil, "tests the contract, not an engine"},

	"/gateway/extauthz": {[]string{"/gateway", "/internal/envoyauth", "/internal/refusal"}, []string{"connectrpc.com/connect", "google.golang.org/protobuf"}, "words of Envoy: it decides nothing"},

	"/store/storetest/linear": {[]string{"", "/source", "/store"}, []string{"github.com/anishathalye/porcupine"}, "tests the contract, not an engine"},
	"/store/storebench":       {[]string{"", "/audit", "/clients", "/directory", "/issuer", "/login", "/rights", "/server", "/source", "/store"}, nil, "measures what the issuer writes, on the engine of the caller"},

	"/keyring":           {[]string{"/internal/private", "/internal/token", "/internal/wholefile", "/store"}, nil, "keys only"},
	"/directory":         {[]string{"", "/audit", "/internal/check", "/internal/mailaddress", "/internal/secret", "/internal/token", "/login", "/store"}, []string{"golang.org/x/text"}, "records only: no sessions"},
	"/login/throttle":    {[]string{"", "/internal/limit", "/internal/secret", "/login", "/store"}, nil, "counts attempts, and knows no credential"},
	"/login/mailcode":    {[]string{"/directory", "/internal/secret", "/login", "/store"}, nil, "makes no session, and sends nothing itself"},
	"/login/flow":        {[]string{"", "/audit", "/directory", "/internal/check", "/login", "/login/throttle", "/store"}, nil, "runs any method and knows none"},
	"/login/password":    {[]string{"", "/audit", "/internal/...", "/login", "/login/throttle", "/store", "/directory"}, []string{"golang.org/x/crypto", "golang.org/x/text"}, "a method proves, and makes no session"},
	"/internal/nodetime": {[]string{"", "/internal/clock", "/store"}, nil, "what time it is: nothing of what is dated"},
	"/revlog":            {[]string{"", "/audit", "/internal/check", "/internal/coalesce", "/internal/nodetime", "/source", "/store"}, nil, "the log only: no sessions, no keys"},
	"/outbox":            {[]string{"/audit", "/internal/check", "/internal/retry", "/rights", "/store"}, nil, "carries what others send, and knows nothing of it"},
	"/mail":              {[]string{"/internal/catalog", "/internal/check", "/internal/mailaddress", "/internal/secret", "/internal/textfile", "/outbox", "/store"}, []string{"github.com/wneessen/go-mail"}, "words and SMTP: no users, no sessions, no HTTP"},
	"/clients":           {[]string{"", "/audit", "/internal/check", "/internal/token", "/internal/urls", "/revlog", "/rights", "/source", "/store"}, nil, "settings only: no sessions"},
	"/issuer":            {[]string{"", "/audit", "/clients", "/internal/...", "/rights", "/store", "/keyring", "/login", "/revlog", "/source"}, nil, "no HTTP, no passwords, no engine"},
	"/issuer/issuertest": {[]string{"", "/audit", "/clients", "/internal/secret", "/issuer", "/login", "/rights", "/source"}, nil, "tests an issuer on the store of the caller"},

	"/accounts":        {[]string{"", "/audit", "/clients", "/directory", "/internal/revocation", "/issuer", "/login", "/rights", "/store"}, nil, "no HTTP, no way of signing in, no engine"},
	"/server":          {[]string{"", "/accounts", "/audit", "/choose", "/client", "/clients", "/inspect/inspector", "/internal/...", "/monitor", "/monitor/alert", "/monitor/journey", "/monitor/kept", "/rights", "/store", "/keyring", "/login", "/login/flow", "/login/mailcode", "/login/password", "/login/throttle", "/mail", "/outbox", "/directory", "/issuer", "/source"}, []string{"github.com/mileusna/useragent", "golang.org/x/text/language"}, "no SQL and no engine: the caller brings the store"},
	"/monitor/journey": {[]string{"/internal/api", "/monitor", "/source"}, nil, "a client of the public API: it can reach no store"},
	"/internal/api":    {[]string{"", "/audit", "/clients", "/internal/secret", "/issuer", "/keyring", "/source"}, nil, "the JSON of the API and a client of it: it decides nothing"},
	"/counterfoiltest": {[]string{"", "/audit", "/login", "/directory", "/issuer", "/rights", "/server", "/store/memory", "/source"}, nil, "the real thing in memory"},
	"/cmd/counterfoil": {[]string{"/..."}, []string{"..."}, "puts everything together"},

	"/internal/faultnet": {nil, nil, "knows bytes, not what they mean"},
	"/internal/testsvc":  {nil, []string{"github.com/jackc/pgx"}, "starts servers for tests: knows nothing of ours"},
	"/prove":             {[]string{"", "/audit", "/clients", "/directory", "/internal/api", "/internal/clock", "/internal/faultnet", "/internal/urls", "/issuer", "/login", "/rights", "/server", "/store", "/store/storetest", "/source"}, nil, "puts the real parts on trial; the caller brings the engine"},
	"/compare/plain":     {nil, []string{"github.com/alexedwards/scs", "github.com/golang-jwt/jwt", "github.com/go-jose/go-jose", "github.com/jackc/pgx", "github.com/redis/rueidis", "modernc.org/sqlite"}, "what programs do without us"},
	"/compare":           {[]string{"", "/audit", "/compare/plain", "/directory", "/internal/api", "/internal/faultnet", "/internal/request", "/issuer", "/login", "/rights", "/server", "/source", "/store"}, nil, "measures the real parts; the caller brings the engine"},

	"/internal/olddata": {nil, nil, "holds fixtures; what opens them are tests"},

	"/examples/embedded":         {[]string{"", "/server", "/store/memory"}, nil, "what a program that embeds the server needs"},
	"/examples/microservice":     {[]string{""}, nil, "what a service needs: the root package"},
	"/examples/durable":          {[]string{"", "/keyring", "/server", "/store/sqlite"}, nil, "what a program that embeds the server needs"},
	"/examples/tutorial/app":     {[]string{"", "/accounts", "/audit", "/directory", "/rights", "/server", "/store/memory"}, nil, "what a program that embeds the server needs"},
	"/examples/tutorial/reports": {[]string{""}, nil, "what a service needs: the root package"},
	"/examples/webhook":          {nil, nil, "a receiver: what it needs of ours goes over the wire"},
	"/examples/native":           {nil, nil, "a client: what it needs of ours goes over the wire"},
	"/examples/spa":              {[]string{"", "/audit", "/clients", "/rights", "/server", "/store/memory"}, nil, "what a program that embeds the server needs"},
}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		row, known := layers[p.path]
		if !known {
			t.Errorf("%s is in no layer: add it to the table here and in docs/architecture.md", p.path)
			continue
		}
		for _, imported := range p.imports {
			inside, own := strings.CutPrefix(imported, module)
			switch {
			case own && !slices.ContainsFunc(row.imports, matches(inside)):
				t.Errorf("%s imports %s: %s", p.path, imported, row.reason)
			case !own && strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.ContainsFunc(row.modules, matches(imported)):
				t.Errorf("%s imports %s: %s", p.path, imported, row.reason)
			}
		}
	}
}

// In the table of docs/architecture.md, a package stands below all that it imports, and its row
// names what the table here lets it import.
func TestLayersAreInOrder(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	line := func(path string) int {
		return slices.IndexFunc(lines, func(line string) bool {
			cells := strings.Split(line, "|")
			return len(cells) == 6 && slices.ContainsFunc(strings.Split(cells[2], ","), func(cell string) bool {
				name := "/" + strings.Split(cell+"``", "`")[1]
				return named(name, path) || name == "/counterfoil" && path == ""
			})
		})
	}
	for _, p := range packages(t) {
		here := line(p.path)
		if here < 0 {
			t.Errorf("%q is not in the table of docs/architecture.md", p.path)
			continue
		}
		for _, imported := range p.imports {
			if inside, own := strings.CutPrefix(imported, module); own && line(inside) >= here {
				t.Errorf("%q imports %q, which is not on a line above it in docs/architecture.md", p.path, inside)
			}
		}
		may := strings.Split(lines[here], "|")[4]
		if strings.Contains(may, "and what") || strings.Contains(may, "everything") || strings.HasPrefix(p.path, "/examples/") {
			continue // says it in other words
		}
		for _, path := range layers[p.path].imports {
			if !slices.ContainsFunc(strings.Split(may, "`"), func(name string) bool { return named("/"+name, path) }) && !(path == "" && strings.Contains(may, "root")) {
				t.Errorf("%q may import %q: its row in docs/architecture.md does not say so", p.path, path)
			}
		}
	}
}

// named reports whether a name in the document, which may end with *, is for path.
func named(name, path string) bool {
	tree, all := strings.CutSuffix(name, "*")
	return name == path || all && tree != "/" && strings.HasPrefix(path, tree)
}

// imports is what a package imports.
type imports struct {
	path    string // relative to the module
	imports []string
}

func packages(t *testing.T) (all []imports) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		all = append(all, imports{strings.TrimPrefix(fields[0], module), fields[1:]})
	}
	return all
}

func matches(path string) func(string) bool {
	return func(pattern string) bool {
		if tree, ok := strings.CutSuffix(pattern, "..."); ok {
			return strings.HasPrefix(path+"/", tree)
		}
		return path == pattern || (strings.Contains(pattern, ".") && strings.HasPrefix(path, pattern+"/"))
	}
}
