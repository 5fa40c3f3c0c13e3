package mail_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

const childVariable = "COUNTERFOIL_MAIL_TEST"

func TestMain(m *testing.M) {
	if how := os.Getenv(childVariable); how != "" {
		if err := child(how); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// watched is a store that tells of each commit.
type watched struct {
	store.Store
	committed chan<- struct{}
}

func (w watched) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	at, err := w.Store.Commit(ctx, b)
	select {
	case w.committed <- struct{}{}:
	default: // it was told already
	}
	return at, err
}

// child is a program that causes mails and sends them, until it is killed. With no mails to cause it
// ends when all are sent.
func child(how string) error {
	var file, address, roots string
	var round, mails int
	if _, err := fmt.Sscan(how, &file, &address, &roots, &round, &mails); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	trail, err := audit.New(audit.Options{Store: db, Hook: func(audit.Entry) {}, Anchor: func(audit.Seal) {}})
	if err != nil {
		return err
	}
	key := func(label string) []byte { sum := sha256.Sum256([]byte(label)); return sum[:] }
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	committed := make(chan struct{}, 1)
	box, err := outbox.New(outbox.Options{Store: watched{db, committed}, Key: key, Audit: trail, Logger: quiet})
	if err != nil {
		return err
	}
	s, err := mail.New(mail.Options{URL: "smtp://" + address, From: "auth@example.com", RootCAs: roots, Outbox: box, Logger: quiet})
	if err != nil {
		return err
	}
	box.Handle(mail.Kind, s.Deliver)
	var running sync.WaitGroup
	running.Go(func() { box.Run(ctx) })
	for n := range mails {
		subject := fmt.Sprintf("mail %d.%d", round, n)
		rec, err := s.Record(mail.Message{Template: "notice", To: "bob@example.org", Args: []mail.Arg{mail.Text(subject)}})
		if err != nil {
			return err
		}
		if _, err := db.Commit(ctx, store.Batch{Put: []store.Record{rec}}); err != nil {
			return err
		}
		fmt.Println(subject) // acknowledged
		s.Wake()
	}
	if mails > 0 {
		_, err := io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent ends
		return err
	}
	for {
		c, err := box.Counts(ctx)
		if err != nil {
			return err
		}
		if c.Waiting == 0 {
			break
		}
		<-committed
	}
	cancel()
	running.Wait()
	return db.Close()
}

// A program is killed 20 times, each at another moment between the commit that causes a mail and the end
// of its sending. Each mail that was acknowledged arrives. It comes once more at most for each kill of a
// process that had sent it.
func TestKilled(t *testing.T) {
	t.Parallel()
	const rounds, mails = 20, 5
	h := newHost(t, "starttls")
	file := filepath.Join(t.TempDir(), "mail.db")
	came := make(chan struct{}, 10_000)
	h.data = func() error { came <- struct{}{}; return nil }
	begin := func(round, mails int) (*exec.Cmd, *bufio.Scanner) {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{file, h.address, h.roots, fmt.Sprint(round), fmt.Sprint(mails)}, " "))
		if _, err := cmd.StdinPipe(); err != nil { // open until the child has ended
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewScanner(out)
	}
	counts := func() map[string]int {
		all := map[string]int{}
		for _, m := range h.taken() {
			parsed, err := netmail.ReadMessage(strings.NewReader(m.text))
			if err != nil {
				t.Fatal(err)
			}
			all[parsed.Header.Get("Subject")]++
		}
		return all
	}
	acknowledged, may := map[string]bool{}, map[string]int{}
	before := map[string]int{}
	for round := range rounds {
		for len(came) > 0 {
			<-came
		}
		cmd, lines := begin(round, mails)
		for n := 0; n < 1+round%mails && lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			acknowledged[lines.Text()] = true
		}
		if round%2 == 1 { // not before the server has one
			<-came
		}
		_ = cmd.Process.Kill()
		for lines.Scan() { // acknowledged before the kill
			acknowledged[lines.Text()] = true
		}
		_ = cmd.Wait()
		now := counts()
		for subject, n := range now {
			if n > before[subject] {
				may[subject]++
			}
		}
		before = now
	}
	last, lines := begin(rounds, 0)
	for lines.Scan() {
		t.Error(lines.Text())
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	got, twice := counts(), 0
	for subject := range acknowledged {
		n := got[subject]
		if n < 1 || n > 1+may[subject] {
			t.Errorf("%s came %d times; %d processes that had sent it were killed", subject, n, may[subject])
		}
		if n > 1 {
			twice++
		}
		if n > 2 {
			t.Logf("%s came %d times", subject, n)
		}
	}
	t.Logf("%d mails were acknowledged, all arrived, %d of them twice", len(acknowledged), twice)
	if len(acknowledged) < rounds {
		t.Errorf("only %d mails were acknowledged", len(acknowledged))
	}
}
