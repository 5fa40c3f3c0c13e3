package e2e_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdptarget "github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// watch sees what a browser does on the network, in three ways that do not rest on one another.
//
//   - All names, and all addresses but 127.0.0.1, lead the browser to a listener of the watch, for TCP
//     and for UDP. So an attempt needs no name server, and reaches no other machine.
//   - The browser tells of requests, sockets, navigations and new windows (DevTools protocol).
//   - The browser writes each request, name and connection of its network stack to a file (NetLog),
//     also those that no DevTools event is for: look-ups and connections ahead of need.
type watch struct {
	t    *testing.T
	port int
	log  string

	mu   sync.Mutex
	seen []string // what reached the listeners, and what the browser told
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{t: t, port: tcp.Addr().(*net.TCPAddr).Port, log: filepath.Join(t.TempDir(), "net.json")}
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close(); _ = udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			w.saw("tcp: a connection")
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil {
					w.saw("tcp: " + r.Method + " " + r.Host + r.URL.Path)
					_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
				}
			}()
		}
	}()
	go func() {
		packet := make([]byte, 1500)
		for {
			if _, _, err := udp.ReadFrom(packet); err != nil {
				return
			}
			w.saw("udp: a packet")
		}
	}()
	return w
}

func (w *watch) saw(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, what)
}

// all returns what was seen with a text in it.
func (w *watch) all(part string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.seen), func(s string) bool { return !strings.Contains(s, part) })
}

// browser starts a browser that is watched.
func (w *watch) browser() *browser {
	w.t.Helper()
	b := newBrowser(w.t, looks[0],
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP *.canary.test 127.0.0.1:%d, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", w.port)),
		chromedp.Flag("log-net-log", w.log), chromedp.Flag("disable-features", "DialMediaRouteProvider,MediaRouter,OptimizationHints,Translate"))
	err := chromedp.ListenBrowser(b.ctx, func(ev any) {
		if e, ok := ev.(*cdptarget.EventTargetCreated); ok && e.TargetInfo.Type == "page" && e.TargetInfo.URL != "about:blank" {
			w.saw("target: " + e.TargetInfo.URL)
		}
	})
	if err == nil {
		err = chromedp.Listen(b.ctx, func(ev any) {
			switch e := ev.(type) {
			case *network.EventRequestWillBeSent:
				w.saw("request: " + e.Request.URL)
			case *network.EventWebSocketCreated:
				w.saw("socket: " + e.URL)
			case *page.EventFrameRequestedNavigation:
				w.saw("navigation: " + e.URL)
			}
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// end closes the browser, and returns all that its network stack did: requests, look-ups and
// connections, each with the address.
func (w *watch) end(b *browser) (all []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hung)
	defer cancel()
	if err := chromedp.Cancel(ctx); err != nil {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	var log struct {
		Constants struct {
			LogEventTypes map[string]int `json:"logEventTypes"`
		} `json:"constants"`
		Events []struct {
			Type   int             `json:"type"`
			Params json.RawMessage `json:"params"`
		} `json:"events"`
	}
	if err := json.Unmarshal(data, &log); err != nil {
		w.t.Fatalf("%s: %v", w.log, err)
	}
	names := map[int]string{}
	for name, number := range log.Constants.LogEventTypes {
		names[number] = name
	}
	for _, e := range log.Events {
		var p map[string]any
		_ = json.Unmarshal(e.Params, &p)
		for _, member := range []string{"url", "host", "address", "host_and_port", "hostname", "uri"} {
			if v, ok := p[member].(string); ok {
				all = append(all, names[e.Type]+" "+v)
			}
		}
	}
	return all
}

// attempt is a way to get something out of a page, and what the watch sees of it first if it is not
// forbidden. Its name is in the address.
type attempt struct{ name, code, sign string }

// attempts are made in this order: what a browser does ahead of need comes first, when the listener
// has had no connection for another reason.
func attempts(port int) []attempt {
	return []attempt{
		{"preconnect", `document.head.append(Object.assign(document.createElement("link"), { rel: "preconnect", href: "http://preconnect.canary.test/" }))`, "tcp: a connection"},
		{"fetch", `fetch("http://fetch.canary.test/").catch(() => {})`, "request: http://fetch."},
		{"websocket", `new WebSocket("ws://websocket.canary.test/")`, "socket: ws://websocket."},
		{"beacon", `navigator.sendBeacon("http://beacon.canary.test/", "x")`, "request: http://beacon."},
		{"image", `new Image().src = "http://image.canary.test/"`, "request: http://image."},
		{"webrtc", fmt.Sprintf(`const p = new RTCPeerConnection({ iceServers: [{ urls: "stun:127.0.0.1:%d" }] }); p.createDataChannel("x"); p.createOffer().then((o) => p.setLocalDescription(o))`, port), "udp: a packet"},
		{"frame", `document.body.append(Object.assign(document.createElement("iframe"), { src: "http://frame.canary.test/" }))`, "navigation: http://frame."},
		{"form", `const f = document.createElement("form"); f.action = "http://form.canary.test/"; document.body.append(f); f.submit()`, "tcp: GET form."},
		{"window", `open("http://window.canary.test/")`, "tcp: GET window."},
		{"navigation", `location = "http://navigation.canary.test/"`, "tcp: GET navigation."},
	}
}

// await returns when something with a text in it was seen more than n times.
func (w *watch) await(text string, n int) {
	w.t.Helper()
	deadline := time.After(hung)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(w.all(text)) <= n {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%q was not seen in a minute, but %q", text, w.all(""))
		}
	}
}

// What a browser lets a page do, and what the watch sees of it: an ordinary page, which may do
// everything, shows that each attempt is seen. docs/inspector.md has the table of what happens
// when the same is tried in the inspector.
func TestWhatTheBrowserForbids(t *testing.T) {
	t.Parallel()
	p := start(t)
	rows := map[string][]string{}
	for i, url := range []string{"about:blank", p.url + "/inspector", inspectorFile(t)} {
		w := newWatch(t)
		b := w.browser()
		for _, a := range attempts(w.port) {
			b.leave(url)
			const connection = "tcp: a connection"
			connections := len(w.all(connection))
			b.script(`(() => { ` + a.code + `; return "" })()`)
			switch {
			case i == 0, forbidden(t, a.name)[i-1] == "sent":
				w.await(a.sign, 0)
			case forbidden(t, a.name)[i-1] == "connected":
				w.await(connection, connections)
			}
		}
		b.leave("http://last.canary.test/") // what was begun before this is in the log
		w.await("tcp: GET last.", 0)
		log := w.end(b)
		for _, a := range attempts(w.port) {
			rows[a.name] = append(rows[a.name], grade(w, a.name, log))
		}
	}
	// A look-up has no name in the log, because it is mapped to the address of the listener before.
	// So it has a browser of its own, in which nothing else is done.
	for _, url := range []string{"about:blank", p.url + "/inspector", inspectorFile(t)} {
		w := newWatch(t)
		b := w.browser()
		b.do(chromedp.Navigate(url))
		for i := range 20 { // one hint may still wait in the page when the browser ends
			b.script(fmt.Sprintf(`(async () => {
				document.head.append(Object.assign(document.createElement("link"), { rel: "dns-prefetch", href: "http://look-up-%d.canary.test/" }));
				await new Promise((done) => requestAnimationFrame(done));
				return "";
			})()`, i))
		}
		said := "nothing"
		if slices.ContainsFunc(w.end(b), func(s string) bool {
			return strings.HasPrefix(s, "HOST_RESOLVER") && strings.Contains(s, fmt.Sprint(":", w.port))
		}) {
			said = "sent"
		}
		rows["look-up"] = append(rows["look-up"], said)
	}
	for name, row := range rows {
		if row[0] != "sent" {
			t.Errorf("%s: the watch sees %s of it in a page that may do everything", name, row[0])
		}
		if want := forbidden(t, name); !slices.Equal(row[1:], want) {
			t.Errorf("%s: %q, and docs/inspector.md says %q", name, row[1:], want)
		}
	}
}

// leave goes to another page. The page may have begun to go somewhere itself. The browser gives up one of
// the two, and that may be the second.
func (b *browser) leave(url string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hung)
	defer cancel()
	for {
		err := chromedp.Do(ctx, chromedp.Navigate(url))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "net::ERR_ABORTED") {
			b.t.Fatalf("browser: %v\npage: %.600s", err, b.shown())
		}
	}
}

// grade says how far an attempt got: nothing, connected (but no request), sent.
func grade(w *watch, name string, log []string) string {
	if name == "webrtc" {
		if len(w.all("udp: a packet")) > 0 {
			return "sent"
		}
		return "nothing"
	}
	grade := "nothing"
	for _, s := range log {
		if strings.Contains(s, "//"+name+".canary.test") {
			grade = "connected"
		}
	}
	if slices.ContainsFunc(log, func(s string) bool {
		return strings.HasPrefix(s, "URL_REQUEST_START_JOB") && strings.Contains(s, "//"+name+".canary.test")
	}) {
		return "sent"
	}
	if name == "preconnect" && grade == "connected" {
		return "sent" // it asks for no more
	}
	return grade
}

// forbidden returns the two cells of a row of docs/inspector.md: as served, from disk.
func forbidden(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile("../docs/inspector.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.TrimSpace(cells[1]) == name {
			return []string{strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])}
		}
	}
	t.Fatalf("docs/inspector.md has no row %q", name)
	return nil
}

// evil are texts that a page must show, and do nothing about.
var evil = []string{
	`https://link.canary.test/#x`,
	`<img src="http://html.canary.test/x" onerror="window.taken = 1"><script>window.taken = 1</script><iframe src="http://html.canary.test/"></iframe><a href="http://html.canary.test/" ping="http://ping.canary.test/">x</a>`,
	`<link rel="preconnect" href="http://html.canary.test/"><link rel="dns-prefetch" href="http://html.canary.test/"><meta http-equiv="refresh" content="0; url=http://html.canary.test/"><base href="http://html.canary.test/">`,
	`javascript:window.taken=1`, `</script><script>window.taken = 1</script>`, "{{7*7}}${7*7}", "\u202e\u0000\ufeff",
	`{"keys":[{"kty":"RSA","n":"http://html.canary.test/","e":"AQAB","x5u":"http://x5u.canary.test/"}],"jku":"http://jku.canary.test/"}`,
	`{"payload":"<img src=http://html.canary.test/>","protected":"http://html.canary.test/","signature":"<svg onload=window.taken=1>"}`,
	"-----BEGIN CERTIFICATE-----\nhttp://html.canary.test/\n-----END CERTIFICATE-----",
}

// evilTokens name addresses wherever a token can, and have HTML in names and values.
func evilTokens() (tokens []string) {
	const html = `"<img src='http://html.canary.test/' onerror='window.taken=1'>":"</pre><script>window.taken=1</script><iframe src=http://html.canary.test/>"`
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	key := `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5u":"http://x5u.canary.test/"}`
	more := `"jku":"http://jku.canary.test/","x5u":"http://x5u.canary.test/","jwk":` + key + `,"x5c":["http://x5c.canary.test/"],` + html
	claims := `"iss":"http://iss.canary.test/","jti":"1","iat":1750000000,"exp":1750000300,"aud":"http://aud.canary.test/","picture":"http://image.canary.test/","cnf":{"jku":"http://jku.canary.test/","jwk":` + key + `},` + html
	for _, typ := range []string{"at+jwt", "JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", "statuslist+jwt", "dc+sd-jwt", "kb+jwt", "http://typ.canary.test/"} {
		header := part(`{"alg":"ES256","typ":"` + typ + `","kid":"http://kid.canary.test/<b>",` + more + `}`)
		body := part(`{"htu":"http://htu.canary.test/","htm":"GET","events":{"http://events.canary.test/":{}},"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"},"status":{"status_list":{"idx":0,"uri":"http://status.canary.test/"}},` + claims + `}`)
		tokens = append(tokens, header+"."+body+"."+part(strings.Repeat("s", 64)))
	}
	disclosure := part(`["salt","<img src=http://html.canary.test/>","http://value.canary.test/"]`)
	return append(tokens,
		tokens[6]+"~"+disclosure+"~"+tokens[7],
		part(`{"alg":"ECDH-ES","enc":"A256GCM","cty":"JWT","epk":`+key+`,`+more+`}`)+"."+part("k")+"."+part("iv")+"."+part("<b>")+"."+part("tag"),
		"Bearer "+tokens[0], "cfr_"+strings.Repeat("r", 80), strings.Repeat("o", 43))
}

// Nothing leaves the inspector by anything that it does, as it is served and from disk: every tab, with
// all kinds of input, each button, the keyboard, and a token in the address.
func TestNothingLeavesTheInspector(t *testing.T) {
	t.Parallel()
	p := start(t)
	for name, url := range map[string]string{"served": p.url + "/inspector", "from disk": inspectorFile(t)} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t)
			b := w.browser()
			b.do(chromedp.Navigate(url + "#token=" + evilTokens()[0]))
			b.until(`location.hash === "" && document.getElementById("decode-out").textContent.includes("access token")`)
			if here := b.script(`location.href + " " + history.length`); strings.Contains(here, "#") || strings.Contains(here, "token=") {
				t.Errorf("the address is %s", here)
			}
			inputs := append(evilTokens(), evil...)
			data, err := json.Marshal(inputs)
			if err != nil {
				t.Fatal(err)
			}
			for _, tab := range []string{"decode", "verify", "sign", "encrypt", "decrypt"} {
				b.script(fmt.Sprintf(everyInput, tab, data))
			}
			b.do(chromedp.Navigate(url+"#token=x"), chromedp.Navigate(url+"#token="+evilTokens()[2])) // in the same page
			b.until(`location.hash === "" && document.getElementById("decode-out").textContent.includes("DPoP proof")`)
			if inside := b.script(`[...document.querySelectorAll("a, img, iframe, link, base, form, script:not(:last-child), svg, object")].map((e) => e.outerHTML).join() + (window.taken ?? "")`); inside != "" {
				t.Errorf("input has become a part of the page: %s", inside)
			}
			if kept := b.script(`(() => { try { return [document.cookie, localStorage.length, sessionStorage.length].join() } catch (e) { return e.name } })()`); kept != ",0,0" && kept != "SecurityError" {
				t.Errorf("it keeps %s", kept)
			}
			origin := regexp.MustCompile(`^http://[^/]*/`).FindString(url)
			own := func(s string) bool { // the page, and the connection to its server
				event, about, _ := strings.Cut(s, " ")
				about, _, _ = strings.Cut(about, "#")
				return about == url || event == "HTTP_STREAM_JOB_CONTROLLER" && about == origin
			}
			seen := slices.DeleteFunc(w.all(""), own)
			if len(seen) > 0 {
				t.Errorf("the watch saw %q", seen)
			}
			for _, s := range w.end(b) {
				event, about, _ := strings.Cut(s, " ")
				switch {
				case strings.Contains(s, "canary.test"), strings.Contains(s, fmt.Sprint(":", w.port)), event == "UDP_BYTES_SENT":
					t.Errorf("the browser's log has %s", s)
				case !slices.Contains([]string{"URL_REQUEST_START_JOB", "REQUEST_ALIVE", "HTTP_STREAM_JOB_CONTROLLER"}, event), own(s):
				case !browsersOwn.MatchString(about):
					t.Errorf("the browser's log has %s", s)
				}
			}
		})
	}
}

// browsersOwn are hosts that Chromium asks by itself, about updates, the time and its user.
var browsersOwn = regexp.MustCompile(`^https?://[a-z0-9.-]+\.(google|googleapis|gvt1)\.com/`)

// everyInput puts each input into each field of a tab, presses each button that is there, also those
// that appear, and Enter.
const everyInput = `(async () => {
	const tab = %q, inputs = %s, panel = document.getElementById("panel-" + tab), out = document.getElementById(tab + "-out");
	const idle = async () => {
		do await new Promise((done) => requestAnimationFrame(done)); while (document.querySelector("[aria-busy=true]"));
	};
	for (const [i, input] of inputs.entries()) {
		document.getElementById("tab-" + tab).click();
		const fields = [...panel.querySelectorAll(".fields textarea, .fields input:not([type=checkbox])")];
		for (const [n, f] of fields.entries()) {
			f.value = n === 0 ? input : inputs[(i + n) %% inputs.length];
			f.dispatchEvent(new Event("input", { bubbles: true }));
			f.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
		}
		await idle();
		for (const make of panel.querySelectorAll("[id$=-new]")) {
			make.click();
			await new Promise((done) => setTimeout(done));
		}
		document.getElementById(tab + "-go")?.click();
		await idle();
		for (let n = 0; n < out.querySelectorAll("button").length; n++) {
			out.querySelectorAll("button")[n].click();
			await idle();
		}
	}
	document.getElementById("clear").click();
	await idle();
	return "";
})()`
