package choose

// Topics are all rules.
var Topics = []Topic{
	{ID: "need", Title: "Do you need Counterfoil?", Rules: []Rule{
		{ID: "need-session-library",
			If:      []Condition{not("clients", "spa", "mobile", "machines"), is("servers", "one", "several"), is("sites", "one-host")},
			Choice:  "No: a session library does what you need.",
			Because: "One program renders its own pages at one host. A session library ends a session by deleting its row, and asks nobody else. Take Counterfoil if you also want its sign-in pages, its list of devices, or a second kind of client later.",
			Rows:    []string{"revoke-after", "rate-1", "store-down"}},
		{ID: "need-jwt-library",
			If:      []Condition{not("clients", "pages", "spa", "mobile"), is("revocation", "expiry")},
			Choice:  "No: a JWT library does what you need.",
			Because: "Only machines call, and a token may be good until it expires. Sign tokens that live for minutes, and verify them with the public key. Take Counterfoil when a token must end before it expires.",
			Rows:    []string{"revoke", "cpu", "reads"}},
		{ID: "need-counterfoil",
			Choice:  "Yes.",
			Because: "One login serves clients that need different carriers, or services that share no store; each carrier can be revoked before it expires.",
			Rows:    []string{"revoke", "rate-3", "reads"}},
	}},

	{ID: "pages", Title: "Carrier of pages that a server renders", If: []Condition{is("clients", "pages")}, Rules: []Rule{
		{ID: "pages-hosts", If: []Condition{not("sites", "one-host")},
			Choice:   "cookie, one for each host",
			Because:  "A cookie that several hosts share can be set and read by the weakest of them. The gateway gives each host a cookie of its own, of the same session, so that one sign-out ends all of them: start it with --client web.",
			Rows:     []string{"xss", "csrf", "credential"},
			Commands: []string{atHosts, hostKey}},
		{ID: "pages-services", If: []Condition{is("servers", "services"), is("claims", "readable")},
			Choice:   "jwt-cookie",
			Because:  "Each service can check a signed cookie without asking when it sees it for the first time. No script can read it.",
			Rows:     []string{"reads-first", "network-first-20", "xss"},
			Commands: []string{"counterfoil client set web --carrier jwt-cookie"}},
		{ID: "pages-cookie",
			Choice:   "cookie",
			Because:  "An opaque cookie is the smallest credential, says nothing, and no script can read it. After its first look-up it is checked in memory.",
			Rows:     []string{"credential", "xss", "later"},
			Commands: []string{"counterfoil client set web --carrier cookie"}},
	}},

	{ID: "spa", Title: "Carrier of single-page apps", If: []Condition{is("clients", "spa")}, Rules: []Rule{
		{ID: "spa-hosts", If: []Condition{not("sites", "one-host")},
			Choice:   "cookie, one for each host, and the gateway holds the tokens (BFF)",
			Because:  "The page calls its own host only. The gateway there has the session's cookie, which no script can read, and calls the API at the other host with a token that the page never sees: start it with --client web and bff.key, and write bff: api at its routes. Browsers keep cookies of another site from a page, so a silent refresh across sites would fail.",
			Rows:     []string{"xss", "csrf", "credential"},
			Commands: []string{atHosts, "counterfoil client set api --carrier bearer --audience https://api.example.com", bffKey}},
		{ID: "spa-services", If: []Condition{is("servers", "services"), is("claims", "readable")},
			Choice:   "jwt-cookie",
			Because:  "App and API share a host. Each service behind it can check a signed cookie without asking when it sees it for the first time, and no script can read it.",
			Rows:     []string{"xss", "csrf", "reads-first"},
			Commands: []string{"counterfoil client set web --carrier jwt-cookie"}},
		{ID: "spa-cookie",
			Choice:   "cookie",
			Because:  "App and API share a host, so the page needs no token, and a foreign script finds none.",
			Rows:     []string{"xss", "csrf", "credential"},
			Commands: []string{"counterfoil client set web --carrier cookie"}},
	}},

	{ID: "mobile", Title: "Carrier of mobile and desktop apps", If: []Condition{is("clients", "mobile")}, Rules: []Rule{
		{ID: "mobile-jwe", If: []Condition{is("claims", "hidden")},
			Choice:   "jwe, with a refresh token in the keychain",
			Because:  "A header works the same on every platform. What is in the token is encrypted, also from its holder.",
			Rows:     []string{"credential", "first", "refresh"},
			Commands: []string{"counterfoil client set mobile --carrier jwe"}},
		{ID: "mobile-bearer",
			Choice:   "bearer, with a refresh token in the keychain",
			Because:  "A header works the same on every platform and needs no jar of cookies.",
			Rows:     []string{"refresh", "first", "later"},
			Commands: []string{"counterfoil client set mobile --carrier bearer"}},
	}},

	{ID: "machines", Title: "Carrier of services, scripts and devices", If: []Condition{is("clients", "machines")}, Rules: []Rule{
		{ID: "machines-jwe", If: []Condition{is("claims", "hidden")},
			Choice:   "jwe",
			Because:  "It is sent in a header, and its holder cannot read what is in it. A service without the key asks the auth server when it sees it for the first time.",
			Rows:     []string{"credential", "first"},
			Commands: []string{"counterfoil client set jobs --carrier jwe", machineKey}},
		{ID: "machines-bearer",
			Choice:   "bearer",
			Because:  "It is sent in a header, and each service checks it by itself.",
			Rows:     []string{"reads", "rate-3"},
			Commands: []string{"counterfoil client set jobs --carrier bearer", machineKey}},
	}},

	{ID: "checks", Title: "Where requests are checked", Rules: []Rule{
		{ID: "checks-go", If: []Condition{is("languages", "go"), is("sites", "one-host")},
			Choice:   "in each program, with the Go package",
			Because:  "Verifier.Require is one line, imports the standard library only, and checks a caller that it has seen without a look-up. A single program can also embed the auth server, and then needs no key for it (docs/embedding.md).",
			Rows:     []string{"later", "reads", "revoke"},
			Commands: []string{followKey}},
		{ID: "checks-both", If: []Condition{is("languages", "go", "mixed")},
			Choice:   "in Go programs with the Go package, for others and for sign-ins at several hosts in the gateway",
			Because:  "The gateway checks the same way in front of a program in any language, and tells it who is calling. It also gives each host its cookie.",
			Rows:     []string{"later", "reads", "revoke"},
			Commands: []string{followKey}},
		{ID: "checks-gateway",
			Choice:   "in the gateway, as the proxy or behind nginx, Caddy, HAProxy, Traefik or Envoy",
			Because:  "A JWT library in another language accepts a revoked token until it expires. The gateway follows the revocations, and tells the program who is calling.",
			Rows:     []string{"revoke", "revoke-after"},
			Commands: []string{followKey}},
	}},

	{ID: "access", Title: "Life of a token", Rules: []Rule{
		{ID: "access-long", If: []Condition{is("revocation", "expiry"), is("users", "millions")},
			Choice:  "15 minutes",
			Because: "Each refresh writes to the store. With so many users a longer life saves most of these writes, and a verifier that follows the revocations refuses a revoked token all the same.",
			Rows:    []string{"refresh", "refresh-writes"}, Set: map[string]string{"access_ttl": "15m"}},
		{ID: "access-normal",
			Choice:  "5 minutes",
			Because: "A program that does not follow the revocations accepts a revoked token for so long at most. A verifier that follows them refuses it in milliseconds.",
			Rows:    []string{"revoke", "refresh"}, Set: map[string]string{"access_ttl": "5m"}},
	}},

	{ID: "login", Title: "Life of a login", Rules: []Rule{
		{ID: "login-mobile", If: []Condition{is("clients", "mobile")},
			Choice:  "90 days, 30 days without use; a cookie 1 hour without use",
			Because: "Nobody types a password into a telephone each day. A stolen refresh token is noticed at its second use, and a lost device is ended from the list of devices.",
			Rows:    []string{"refresh"}, Set: map[string]string{"absolute": "2160h", "refresh_idle": "720h", "idle": "1h"}},
		{ID: "login-people", If: []Condition{is("clients", "pages", "spa")},
			Choice:  "24 hours; a cookie 1 hour without use",
			Because: "A person signs in once a day. A browser that was left open at a desk is signed out after an hour.",
			Rows:    []string{"memory-10000"}, Set: map[string]string{"absolute": "24h", "refresh_idle": "168h", "idle": "1h"}},
		{ID: "login-machines",
			Choice:  "24 hours",
			Because: "A program makes a new session with its key each day, and counterfoil session revoke --client jobs ends them all. To delete the key ends no session.",
			Rows:    []string{"refresh"}, Set: map[string]string{"absolute": "24h", "refresh_idle": "24h", "idle": "1h"}},
	}},

	{ID: "bound", Title: "Bound: how old the knowledge of revocations may be", Rules: []Rule{
		{ID: "bound-now", If: []Condition{is("revocation", "now")},
			Choice:  "5 seconds, in verifiers too (Options.Bound; counterfoil gateway --bound 5s), and wait=all where an answer must mean that nobody accepts any more",
			Because: "Revocations arrive in milliseconds. The bound is for a network that is cut: after it a verifier accepts nothing. A shorter bound makes shorter interruptions visible. A verifier whose bound is longer than that of the server does not start.",
			Rows:    []string{"revoke", "revoke-all", "revoke-all-after"}, Set: map[string]string{"max_bound": "5s"}},
		{ID: "bound-soon", If: []Condition{is("revocation", "soon")},
			Choice:  "10 seconds",
			Because: "Revocations arrive in milliseconds. While the auth server restarts for less than the bound, services go on for callers that they have seen.",
			Rows:    []string{"revoke", "store-down"}, Set: map[string]string{"max_bound": "10s"}},
		{ID: "bound-expiry",
			Choice:  "1 minute",
			Because: "Revocations arrive in milliseconds all the same. A long bound lets services go on while the auth server is away.",
			Rows:    []string{"store-down", "revoke"}, Set: map[string]string{"max_bound": "1m"}},
	}},

	{ID: "store", Title: "Store", Rules: []Rule{
		{ID: "store-sqlite", If: []Condition{is("store", "files")},
			Choice:  "sqlite, with one auth server",
			Because: "It is in the program, and it is backed up while it runs. Checks do not touch it. There are no logins, refreshes and revocations while the one auth server restarts; take PostgreSQL when that must not be.",
			Rows:    []string{"reads", "refresh", "node-down"}, Set: map[string]string{"store": "sqlite"}},
		{ID: "store-postgres", If: []Condition{is("store", "postgres")},
			Choice:  "postgres, with two auth servers or more",
			Because: "Any auth server answers any client, and one of them can be restarted at any time.",
			Rows:    []string{"refresh", "node-down"}, Set: map[string]string{"store": postgresURL}},
		{ID: "store-redis", If: []Condition{is("users", "millions")},
			Choice:  "postgres for users, redis for sessions",
			Because: "Sessions are most of what is written, and Redis takes more writes from the same machine. Users, keys and the audit trail stay in PostgreSQL. Redis must write each change to its disk before it answers (appendfsync always).",
			Rows:    []string{"refresh", "refresh-writes", "memory-10000"}, Set: map[string]string{"store": postgresURL, "sessions": redisURL}},
		{ID: "store-enough",
			Choice:  "postgres for everything",
			Because: "It holds so many sessions, and a second store is a second thing that can fail.",
			Rows:    []string{"refresh", "memory-10000"}, Set: map[string]string{"store": postgresURL}},
	}},

	{ID: "stale", Title: "Stale policy: the knowledge of revocations is older than the bound", Rules: []Rule{
		{ID: "stale-closed", If: []Condition{is("outage", "refuse")},
			Choice:  "fail_closed on all routes",
			Because: "The answer is 503 with Retry-After, the cookie stays, and nobody is signed out.",
			Rows:    []string{"store-down", "store-down-new"}},
		{ID: "stale-mixed", If: []Condition{is("revocation", "now")},
			Choice:  "introspect on routes that read, fail_closed on all others",
			Because: "Revocations must count at once, so nothing is served on old knowledge. A route that only reads may ask the auth server for each request while the log cannot be followed.",
			Rows:    []string{"store-down", "revoke"}},
		{ID: "stale-serve",
			Choice:  "serve_stale with a cap of 1 minute on routes that read, fail_closed on all others",
			Because: "A caller that was seen before goes on for a minute. Never use it where money moves or rights are given.",
			Rows:    []string{"store-down", "store-down-new"}},
	}},

	{ID: "cookies", Title: "Scope of cookies", If: []Condition{is("clients", "pages", "spa")}, Rules: []Rule{
		{ID: "cookies-each", If: []Condition{not("sites", "one-host")},
			Choice:  "__Host-, HttpOnly, SameSite=Lax, one for each host; no Domain",
			Because: "With Domain any host below the site could read the cookie, or set another one over it.",
			Rows:    []string{"csrf", "xss"}},
		{ID: "cookies-host",
			Choice:  "__Host-, HttpOnly, SameSite=Lax, at one host; no Domain",
			Because: "A link from elsewhere finds its visitor signed in; a request from a foreign page that changes something is refused by its Origin. Use --same-site strict for an admin panel.",
			Rows:    []string{"csrf", "xss"}},
	}},

	{ID: "cors", Title: "CORS", If: []Condition{is("clients", "spa")}, Rules: []Rule{
		{ID: "cors-exact", If: []Condition{not("sites", "one-host")},
			Choice:  "the exact origin of the app at the auth server; none at services",
			Because: "The page calls its own host only, where the gateway is, also to sign out (/.counterfoil/sign-out). The origin is listed with --origin at its client, so that a sign-in leads back to it; there is no wildcard. A page of the same site can also read its list of sessions at the auth server; from other sites browsers send no cookie there.",
			Rows:    []string{"csrf"}},
		{ID: "cors-none",
			Choice:  "none",
			Because: "The page calls its own origin only. Each origin that is allowed is one more place from which an attack can come.",
			Rows:    []string{"csrf"}},
	}},
}

// Commands that several rules name.
const (
	atHosts    = "counterfoil client set web --carrier cookie --origin https://app.example.com"
	hostKey    = "counterfoil apikey create --client gateway --scope revocation:read,introspect,sessions:handover --sessions-of web --out gateway.key"
	bffKey     = "counterfoil apikey create --client gateway --scope revocation:read,introspect,sessions:handover,sessions:exchange --sessions-of web,api --out bff.key"
	followKey  = "counterfoil apikey create --client services --scope revocation:read,introspect --out services.key"
	machineKey = "counterfoil apikey create --client jobs --scope sessions:create --out jobs.key"
)

// Stores that are somewhere else in production.
const (
	postgresURL = "postgres://counterfoil@127.0.0.1/counterfoil"
	redisURL    = "redis://127.0.0.1:6379"
)
