package compare

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/request"
)

// lab is what a node serves to a browser: the page of an app for each contender, and pages of attackers.
// The pages lead from one to the next. All apps are at one origin, one after the other.
type lab struct {
	app    string // origin of the apps, on localhost
	other  string // another origin of the same site: another port, which makes no other site
	remote string // an origin of another site: 127.0.0.1 is not localhost
	second *listening

	mu    sync.Mutex // guards what follows
	given map[string]string
	found map[string]*LabFound
	done  bool
}

// LabFound is what a browser showed about a contender.
type LabFound struct {
	Storage bool // a foreign script in the page reads the credential from cookies or storage
	Sent    bool // it reads it when the code of the page sends it
	Acts    bool // it can send requests of its own while the page is open

	// How often a page of another site, or of another origin of the same site, made the service act;
	// Protected: behind http.CrossOriginProtection.
	Site, Origin, SiteProtected, OriginProtected int
}

// LabReply is the answer of Node.Lab.
type LabReply struct {
	Found map[string]LabFound
	Done  bool
}

// Enter gives the lab a credential of each contender. The reply is the URL at which a browser begins.
func (n *nodeChild) Enter(given map[string]string, reply *string) error {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	n.lab.given, n.lab.found, n.lab.done = given, make(map[string]*LabFound), false
	for id := range given {
		n.lab.found[id] = new(LabFound)
	}
	*reply = n.lab.next(contenders(n.kinds()), -1)
	return nil
}

// Lab returns what was found so far.
func (n *nodeChild) Lab(_ struct{}, reply *LabReply) error {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	reply.Done, reply.Found = n.lab.done, make(map[string]LabFound)
	for id, f := range n.lab.found {
		reply.Found[id] = *f
	}
	return nil
}

// next is the URL of the app after that of all[at].
func (l *lab) next(all []Contender, at int) string {
	for _, c := range all[at+1:] {
		if _, is := l.given[c.ID]; is {
			return l.app + "/lab/app/" + c.ID
		}
	}
	return l.app + "/lab/end"
}

// note changes what was found about a contender.
func (l *lab) note(id string, change func(*LabFound)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.found[id]; f != nil {
		change(f)
	}
}

// routeLab adds the pages of a contender.
func (n *nodeChild) routeLab(mux *http.ServeMux, all []Contender, at int, guard func(http.Handler) http.Handler) {
	c, l := all[at], &n.lab
	if c.Family == FamilyOurs {
		guard = func(h http.Handler) http.Handler {
			return n.verifier.With(counterfoil.Route{Origins: []string{l.app}}).Require(h)
		}
	}
	foreign := "/lab/foreign/" + c.ID
	mux.HandleFunc("GET /lab/app/"+c.ID, func(w http.ResponseWriter, _ *http.Request) {
		show(w, appPage, map[string]any{"ID": c.ID, "Stored": c.Family == FamilyJWT, "Next": l.remote + foreign + "?from=site"})
	})
	mux.HandleFunc("GET "+foreign, func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		next := l.next(all, at)
		l.mu.Unlock()
		if r.FormValue("from") == "site" { // then the same from another origin of the same site
			next = l.other + foreign + "?from=origin"
		}
		show(w, foreignPage, map[string]any{"Target": l.app + "/lab/act/" + c.ID, "From": r.FormValue("from"), "Next": next})
	})
	mux.HandleFunc("POST /lab/login/"+c.ID, func(w http.ResponseWriter, _ *http.Request) { n.signIn(w, c) })
	mux.HandleFunc("POST /lab/report/"+c.ID, func(w http.ResponseWriter, r *http.Request) { n.report(r, c) })
	act := func(w http.ResponseWriter, r *http.Request) {
		protected := strings.HasSuffix(r.URL.Path, "/protected")
		l.note(c.ID, func(f *LabFound) {
			switch from := r.FormValue("from"); {
			case from == "site" && protected:
				f.SiteProtected++
			case from == "site":
				f.Site++
			case from == "origin" && protected:
				f.OriginProtected++
			case from == "origin":
				f.Origin++
			}
		})
		_, _ = io.WriteString(w, "done")
	}
	mux.Handle("POST /lab/act/"+c.ID, guard(http.HandlerFunc(act)))
	mux.Handle("POST /lab/act/"+c.ID+"/protected", http.NewCrossOriginProtection().Handler(guard(http.HandlerFunc(act))))
}

// signIn answers as a login does: with a cookie, or with a token that the code of the page keeps.
func (n *nodeChild) signIn(w http.ResponseWriter, c Contender) {
	n.lab.mu.Lock()
	value := n.lab.given[c.ID]
	n.lab.mu.Unlock()
	token := ""
	switch {
	case c.Transport == "header":
		token = value
		http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1}) // of the contender before
	case c.Family == FamilyOurs:
		w.Header().Add("Set-Cookie", request.SetCookie(cookieName, value, "Lax", int(usualLife.Seconds())))
	default: // as scs does by default
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// report reads what the foreign script in the page of an app has read.
func (n *nodeChild) report(r *http.Request, c Contender) {
	var b struct {
		Storage, Sent string
		Acts          int
	}
	if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&b) != nil {
		return
	}
	n.lab.mu.Lock()
	value := n.lab.given[c.ID]
	n.lab.mu.Unlock()
	n.lab.note(c.ID, func(f *LabFound) {
		f.Storage, f.Sent = strings.Contains(b.Storage, value), strings.Contains(b.Sent, value)
		f.Acts = b.Acts == http.StatusOK
	})
}

// openLab finds the origins, and adds the last page.
func (n *nodeChild) openLab(mux *http.ServeMux) (err error) {
	if n.lab.second, err = listen(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(n.web.address())
	if err != nil {
		return err
	}
	_, second, err := net.SplitHostPort(n.lab.second.address())
	if err != nil {
		return err
	}
	n.lab.app, n.lab.other, n.lab.remote = "http://localhost:"+port, "http://localhost:"+second, "http://127.0.0.1:"+second
	mux.HandleFunc("GET /lab/end", func(w http.ResponseWriter, _ *http.Request) {
		n.lab.mu.Lock()
		n.lab.done = true
		n.lab.mu.Unlock()
		fmt.Fprint(w, "The end.")
	})
	return nil
}

func show(w http.ResponseWriter, page *template.Template, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, data)
}

// appPage is an app: it signs in, and calls its service. Plain apps keep a token in localStorage, as
// most do; the code of ours keeps it in a variable. The second script is one that an attacker brought into the
// page.
var appPage = template.Must(template.New("app").Parse(`<!doctype html><title>{{.ID}}</title>
<script>
const signedIn = (async () => {
	localStorage.clear();
	const answer = await (await fetch("/lab/login/" + {{.ID}}, {method: "POST"})).json();
	const token = answer.token;
	if (token && {{.Stored}}) localStorage.setItem("token", token);
	return () => fetch("/check/" + {{.ID}}, token ? {headers: {Authorization: "Bearer " + token}} : {});
})();
</script>
<script>
(async () => {
	const call = await signedIn, original = window.fetch;
	const storage = document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage);
	let sent = "";
	window.fetch = (url, options) => { sent += JSON.stringify(options || {}); return original(url, options); };
	await call();
	const stolen = localStorage.getItem("token");
	const acts = (await original("/lab/act/" + {{.ID}}, {method: "POST", headers: stolen ? {Authorization: "Bearer " + stolen} : {}})).status;
	await original("/lab/report/" + {{.ID}}, {method: "POST", body: JSON.stringify({Storage: storage, Sent: sent, Acts: acts})});
	location = {{.Next}};
})();
</script>
`))

// foreignPage is a page of an attacker, to which the visitor of an app has come.
var foreignPage = template.Must(template.New("foreign").Parse(`<!doctype html><title>foreign</title>
<script>
(async () => {
	for (const end of ["", "/protected"]) {
		try { await fetch({{.Target}} + end + "?from=" + {{.From}}, {method: "POST", mode: "no-cors", credentials: "include"}); } catch {}
	}
	location = {{.Next}};
})();
</script>
`))
