package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

var browserGroup = group{
	id: "browser", rows: []string{"xss", "csrf"}, about: "attacks in a browser",
	cost: func(b *bench) time.Duration {
		if b.Browser == "" {
			return 0
		}
		return 6 * time.Second
	},
	run: runBrowser,
}

func runBrowser(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 1); err != nil {
		return err
	}
	found, missing := map[string]LabFound{}, "there is no Chromium"
	if b.Browser != "" {
		var err error
		if found, err = b.stage.browse(ctx); errors.Is(err, errBrowser) {
			missing, found = err.Error(), nil
		} else if err != nil {
			return err
		}
	}
	xss := Row{ID: "xss", Group: "browser", Title: "What a foreign script in the page can read (XSS)", How: "in Chromium: a second script in the page of an app reads cookies and storage, and wraps fetch before the app calls its service. The plain apps keep a token in localStorage, as most do; the client of ours keeps it in a variable"}
	csrf := Row{ID: "csrf", Group: "browser", Title: "What a foreign page can trigger (CSRF)", How: "in Chromium: a page of another site, and one of another origin of the same site, send a POST with the cookies of the visitor. Cookies have SameSite=Lax, as by scs's default"}
	for _, c := range b.all {
		if c.ID == noCheck {
			continue
		}
		f, shown := found[c.ID]
		if !shown {
			f = expected(c)
		}
		one, two := inPage(c, f), fromOutside(c, f)
		if !shown {
			one, two = "not shown here, "+missing+"; the rule: "+one, "not shown here, "+missing+"; the rule: "+two
		}
		xss.Cells, csrf.Cells = append(xss.Cells, inWords(c.ID, one)), append(csrf.Cells, inWords(c.ID, two))
	}
	b.add(xss)
	b.add(csrf)
	return nil
}

// expected is what a browser must show by the rules of cookies and storage. It is used without one.
func expected(c Contender) LabFound {
	header := c.Transport == "header"
	f := LabFound{Storage: header && c.Family == FamilyJWT, Sent: header}
	f.Acts = !header || f.Storage
	if !header && c.Family != FamilyOurs {
		f.Origin = 1
	}
	return f
}

// inPage says what a foreign script in the page can do.
func inPage(c Contender, f LabFound) string {
	switch {
	case f.Storage:
		return "reads the token, and can use it elsewhere until it expires"
	case f.Sent:
		return "finds no token in storage; reads it when the page next sends it"
	case f.Acts:
		return "reads nothing; sends requests while the page is open"
	}
	return "reads nothing"
}

// fromOutside says what a foreign page can trigger.
func fromOutside(c Contender, f LabFound) string {
	switch {
	case c.Transport == "header":
		if f.Site+f.Origin > 0 {
			return "a foreign page makes the service act"
		}
		return "nothing: no browser sends the header by itself"
	case f.Site > 0:
		return "every site makes the service act"
	case f.Origin > 0 && f.OriginProtected == 0:
		return "another site nothing (SameSite); another origin of the same site makes the service act, unless http.CrossOriginProtection is added"
	case f.Origin > 0:
		return "another site nothing (SameSite); another origin of the same site makes the service act"
	}
	return "nothing: the verifier checks the origin"
}

// errBrowser means that the browser showed nothing.
var errBrowser = errors.New("the browser did not open the pages")

// patience is how long a browser may take.
const patience = 90 * time.Second

// browse leads a browser through the pages of all contenders.
func (s *stage) browse(ctx context.Context) (found map[string]LabFound, err error) {
	node, given := s.nodes[0], make(map[string]string)
	for _, c := range s.b.all {
		if c.ID == noCheck {
			continue
		}
		made, err := s.login(ctx, node, c, 9_000_000, 1, time.Hour)
		if err != nil {
			return nil, err
		}
		given[c.ID] = credentialOf(made[0].Field)
	}
	var first string
	if err := node.call(ctx, "Node.Enter", given, &first); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop, err := startBrowser(s.b.Browser, first)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBrowser, err)
	}
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var reply LabReply
		if err := node.call(ctx, "Node.Lab", struct{}{}, &reply); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if reply.Done {
			return reply.Found, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("%w in %v", errBrowser, patience)
			}
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// startBrowser opens url, with a profile of its own. stop ends the browser and removes the profile.
func startBrowser(path, url string) (stop func(), err error) {
	profile, err := os.MkdirTemp("", "counterfoil-compare")
	if err != nil {
		return nil, err
	}
	args := []string{"--headless=new", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--disable-extensions",
		"--disable-background-networking", "--no-proxy-server", "--remote-debugging-port=0", "--user-data-dir=" + profile}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium does not start as root with it
	}
	cmd := exec.Command(path, append(args, url)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which end with it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(profile))
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		for range 20 { // its processes may write for a moment
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}, nil
}
