package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/kept"
)

// statusPath is that of the public status page, which there is if the file of the monitor says so. It
// shows the checks that are public. No visitor costs a look into the store: all are shown the same
// board, which is read anew at most once in boardFor, and each form of it is made once.
const statusPath = "/status"

const (
	boardFor    = 5 * time.Second
	boardWithin = 3 * time.Second // to read it
	statusFresh = 15              // seconds for which a browser or a proxy may show it again
)

// statusBoard keeps the board that is shown.
type statusBoard struct {
	reading sync.Mutex // held while a board is read

	mu    sync.Mutex // guards shown
	shown *shownBoard
}

// shownBoard is a board with its forms. It does not change.
type shownBoard struct {
	board  kept.Board
	file   *monitor.File
	public []monitor.Shown
	tried  time.Time // when somebody last asked the store
	away   bool      // the store did not answer: the board is an older one
	err    error     // it did not, and there is no older one

	mu    sync.Mutex // guards forms
	forms map[string][]byte
}

// known is the board, or why there is none.
func (b *shownBoard) known() (*shownBoard, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b, nil
}

// form returns a form of the board, which make makes the first time.
func (b *shownBoard) form(name string, make func() ([]byte, error)) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if data, made := b.forms[name]; made {
		return data, nil
	}
	data, err := make()
	if err == nil {
		b.forms[name] = data
	}
	return data, err
}

// statusNow returns what the status page shows. While the store is away, it is what was known last; an
// error is an outage, and means that nothing is known.
func (s *Server) statusNow(ctx context.Context) (*shownBoard, error) {
	m := s.watching
	if m == nil || m.File().Status == nil {
		return nil, errNotFound
	}
	file := m.File()
	last := s.board.last()
	if last != nil && last.file == file && s.now().Sub(last.tried).Abs() < boardFor {
		return last.known()
	}
	if last != nil && last.file == file && !s.board.reading.TryLock() {
		return last.known() // somebody reads another one
	} else if last == nil || last.file != file {
		s.board.reading.Lock()
		if again := s.board.last(); again != nil && again != last && again.file == file {
			s.board.reading.Unlock()
			return again.known()
		}
	}
	defer s.board.reading.Unlock()
	next := &shownBoard{file: file, tried: s.now(), forms: map[string][]byte{}}
	var names []string
	for _, c := range m.Shown() {
		if c.Check.Public {
			next.public, names = append(next.public, c), append(names, c.Check.Name)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), boardWithin)
	defer cancel()
	board, err := m.keeper.Board(ctx, names)
	switch {
	case err == nil:
		next.board = board
	case last == nil || last.err != nil:
		next.err = err
	default:
		next.board, next.away = last.board, true
	}
	s.board.mu.Lock()
	s.board.shown = next
	s.board.mu.Unlock()
	return next.known()
}

func (b *statusBoard) last() *shownBoard {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}

// condition is what is said of a check, or of all of them.
type condition string

// The conditions.
const (
	works      condition = "up"
	broken     condition = "down"
	flaps      condition = "flapping"
	maintained condition = "maintenance"
	unknown    condition = "unknown"
)

// conditionOf is that of a check. One that nobody has looked at for a long time is unknown.
func (b *shownBoard) conditionOf(c monitor.Shown) condition {
	state := b.board.Checks[c.Check.Name].State
	silent := b.board.At.Sub(state.Last.At) > 2*c.Check.Every+c.Check.Grace+5*time.Minute
	switch {
	case c.Maintenance != "":
		return maintained
	case state.Status == "" || silent:
		return unknown
	case state.Flapping:
		return flaps
	case state.Status == monitor.Down:
		return broken
	}
	return works
}

// condition is that of all public checks: the worst one.
func (b *shownBoard) condition() condition {
	order, worst := []condition{works, maintained, unknown, flaps, broken}, 0
	for _, c := range b.public {
		worst = max(worst, slices.Index(order, b.conditionOf(c)))
	}
	return order[worst]
}

// statusPage is the page for people.
type statusPage struct {
	frame
	Condition condition
	Says      said
	Old       said // how old it is, if the store does not answer
	Groups    []statusGroup
	Incidents []statusIncident
	At        time.Time
}

type statusGroup struct {
	Name   string
	Checks []statusCheck
}

// statusCheck is a check on the page.
type statusCheck struct {
	Name, Title, Target string
	Condition           condition
	Says                said
	Uptime              said
	Bars                template.HTML
}

// statusIncident is an incident on the page.
type statusIncident struct {
	ID, Title    string
	Began, Ended time.Time
	Why, Lasted  said
	Notes        []kept.Note
}

// pageStatus shows the status page.
func (s *Server) pageStatus(w http.ResponseWriter, r *http.Request) error {
	b, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	l := s.tongueOf(r)
	data, err := b.form("html "+l.Code, func() ([]byte, error) {
		page := s.statusIn(b, l)
		var out bytes.Buffer
		if err := l.pages.ExecuteTemplate(&out, "status.html", page); err != nil {
			return nil, fmt.Errorf("page status.html: %w", err)
		}
		return out.Bytes(), nil
	})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Referrer-Policy", request.FormReferrerPolicy) // the page has the form of the languages
	h.Set("Content-Security-Policy", scripted)
	h.Set("Vary", "Accept-Language, Cookie")
	return sendStatus(w, r, "text/html; charset=utf-8", data)
}

// sendStatus sends a form of the board, or says that the caller has it.
func sendStatus(w http.ResponseWriter, r *http.Request, media string, data []byte) error {
	sum := sha256.Sum256(data)
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(statusFresh))
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// statusIn is the board in words.
func (s *Server) statusIn(b *shownBoard, l *tongue) *statusPage {
	page := &statusPage{
		frame:     frame{Title: say("status.title"), Layout: onPage},
		Condition: b.condition(), At: b.board.At,
	}
	if title := b.file.Status.Title; title != "" {
		page.Title = plain(title)
	}
	page.Says = say("status.all." + string(page.Condition))
	if b.away {
		page.Old = say("status.old", b.board.At, lasting(b.tried.Sub(b.board.At)))
	}
	for _, c := range b.public {
		line := b.board.Checks[c.Check.Name]
		shown := statusCheck{Name: c.Check.Name, Title: c.Check.Title, Condition: b.conditionOf(c), Bars: bars(line, l)}
		shown.Says = say("status." + string(shown.Condition))
		if c.Check.ShowTarget {
			shown.Target = c.Check.Target
		}
		if share, known := line.Uptime(); known {
			shown.Uptime = say("status.uptime", l.percent(share), kept.Days)
		}
		n := len(page.Groups)
		if n == 0 || page.Groups[n-1].Name != c.Check.Group {
			page.Groups = append(page.Groups, statusGroup{Name: c.Check.Group})
			n++
		}
		page.Groups[n-1].Checks = append(page.Groups[n-1].Checks, shown)
	}
	for _, i := range b.incidents() {
		one := statusIncident{ID: i.ID, Title: i.Title, Began: i.Began, Ended: i.Ended, Notes: i.Notes}
		if key := "status.reason." + string(i.Reason); i.Reason != "" && s.has(key) {
			one.Why = say(key)
		}
		if !i.Ended.IsZero() {
			one.Lasted = lasting(i.Ended.Sub(i.Began))
		}
		page.Incidents = append(page.Incidents, one)
	}
	return page
}

// incidents are those that everybody may see: of public checks, and those that an operator has made.
func (b *shownBoard) incidents() (all []kept.Incident) {
	for _, i := range b.board.Incidents {
		public := i.Check == ""
		for _, c := range b.public {
			public = public || c.Check.Name == i.Check
		}
		if public {
			all = append(all, i)
		}
	}
	return all
}

// lasting is how long something took, as people say it.
func lasting(d time.Duration) said {
	switch d = max(d, 0); {
	case d < 2*time.Hour:
		return duration(d.Truncate(time.Second))
	case d < 48*time.Hour:
		return sayCount("duration.hours", int(d/time.Hour))
	default:
		return sayCount("duration.days", int(d/(24*time.Hour)))
	}
}

func (l *tongue) percent(share float64) string { return percent(share, l.texts["number.point"]) }

// percent is a share as people read it. It is cut, and not rounded: what was down a little is never
// shown as 100 %.
func percent(share float64, point string) string {
	text := strconv.FormatFloat(math.Floor(share*10_000)/100, 'f', -1, 64)
	return strings.Replace(text, ".", point, 1) + "\u00a0%"
}

// bars draws the days of a check, one bar for each. A day that was not well has a taller bar of another
// colour, and a title that says more: so it needs no colour to be seen.
func bars(line kept.Line, l *tongue) template.HTML {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="days" viewBox="0 0 %d 30" preserveAspectRatio="none" aria-hidden="true">`, kept.Days*4-1)
	for n, day := range line.Days {
		class, top, title := "none", 20, ""
		switch {
		case day.Known() && day.Down == 0:
			class, top = "well", 8
		case day.Known() && day.Uptime() >= 0.99:
			class, top, title = "some", 4, day.Date.Format(time.DateOnly)+": "+l.percent(day.Uptime())
		case day.Known():
			class, top, title = "ill", 0, day.Date.Format(time.DateOnly)+": "+l.percent(day.Uptime())
		case day.Maintenance > 0:
			class, top, title = "kept", 8, day.Date.Format(time.DateOnly)
		}
		fmt.Fprintf(&out, `<rect class="%s" x="%d" y="%d" width="3" height="%d"`, class, n*4, top, 30-top)
		if title == "" {
			out.WriteString("/>")
		} else {
			fmt.Fprintf(&out, `><title>%s</title></rect>`, template.HTMLEscapeString(title))
		}
	}
	out.WriteString("</svg>")
	return template.HTML(out.String()) // of numbers, and of what was escaped
}

// statusBadge is a picture with the condition of one check, for other pages.
func (s *Server) statusBadge(w http.ResponseWriter, r *http.Request) error {
	b, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	name, is := strings.CutSuffix(r.PathValue("file"), ".svg")
	for _, c := range b.public {
		if !is || c.Check.Name != name {
			continue
		}
		data, err := b.form("badge "+name, func() ([]byte, error) { return badge(c.Check.Title, b.conditionOf(c)), nil })
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Security-Policy", logoPolicy)
		h.Set("Cross-Origin-Resource-Policy", "cross-origin") // it is made to be shown elsewhere
		h.Set("Vary", "Origin")
		return sendStatus(w, r, "image/svg+xml", data)
	}
	return errNotFound
}

var badgeColours = map[condition]string{works: "#14613a", broken: "#a31f1c", flaps: "#7a4b00", maintained: "#3c4a78", unknown: "#555c64"}

// badge draws two words side by side. The width of a text is set, so that it fits in any font.
func badge(title string, is condition) []byte {
	if len([]rune(title)) > 40 {
		title = string([]rune(title)[:39]) + "…"
	}
	left, right := 7*len([]rune(title))+10, 7*len([]rune(string(is)))+10
	name := template.HTMLEscapeString(title + ": " + string(is))
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="%s"><title>%s</title>`+
		`<rect width="%d" height="20" rx="3" fill="#3a4047"/><rect x="%d" width="%d" height="20" rx="3" fill="%s"/><rect x="%d" width="4" height="20" fill="%s"/>`+
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="5" y="14" textLength="%d">%s</text><text x="%d" y="14" textLength="%d">%s</text></g></svg>`,
		left+right, name, name, left+right, left, right, badgeColours[is], left, badgeColours[is],
		left-10, template.HTMLEscapeString(title), left+5, right-10, template.HTMLEscapeString(string(is)))
}
