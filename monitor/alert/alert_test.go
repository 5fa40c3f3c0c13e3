package alert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
)

const whsec = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// got is a request that a target has taken.
type got struct {
	path   string
	header http.Header
	body   string
}

// target answers with the status that answer returns for each try, from 1 on.
func target(t *testing.T, answer func(try int) int) (url string, requests <-chan got) {
	t.Helper()
	all := make(chan got, 100)
	var mu sync.Mutex
	tries := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		tries++
		status := answer(tries)
		mu.Unlock()
		w.WriteHeader(status)
		all <- got{r.URL.Path, r.Header, string(body)}
	}))
	t.Cleanup(web.Close)
	return web.URL, all
}

func always(status int) func(int) int { return func(int) int { return status } }

func sender(t *testing.T) *alert.Sender {
	t.Helper()
	c, err := outward.New(outward.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &alert.Sender{Post: c.Send, Source: "auth.example", Page: func() string { return "https://auth.example/status" }}
}

var at = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func down() monitor.Event {
	return monitor.Event{
		ID: "KEY-3-down", Kind: monitor.WentDown, At: at, Since: at.Add(-20 * time.Second), Check: "shop", Title: "Shop <1>", Group: "Sales",
		Status: monitor.Down, Reason: monitor.BadStatus, Failure: "answered 500: want 200 & *not* <!channel>",
	}
}

// Each kind of channel gets its form.
func TestShapes(t *testing.T) {
	url, requests := target(t, always(200))
	s := sender(t)
	t.Run("webhook", func(t *testing.T) {
		if err := s.Send(t.Context(), monitor.Channel{Name: "w", Kind: monitor.Webhook, URL: secret.New(url + "/hook"), Secrets: []secret.String{secret.New(whsec)}}, down()); err != nil {
			t.Fatal(err)
		}
		r := <-requests
		var body struct {
			Type      string
			Timestamp time.Time
			Data      struct{ ID, Kind, Check, Title, Failure, Source, Page, Text string }
		}
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatal(err)
		}
		if r.path != "/hook" || r.header.Get("Webhook-Id") != "KEY-3-down" || !strings.HasPrefix(r.header.Get("Webhook-Signature"), "v1,") || body.Type != "monitor.down" ||
			!body.Timestamp.Equal(at) || body.Data.Check != "shop" || body.Data.Source != "auth.example" || !strings.HasPrefix(body.Data.Text, "DOWN: Shop <1>. It is down since 2026-11-30 11:59:40 UTC.") {
			t.Errorf("%s %v %s", r.path, r.header, r.body)
		}
	})
	t.Run("slack", func(t *testing.T) {
		if err := s.Send(t.Context(), monitor.Channel{Name: "s", Kind: monitor.Slack, URL: secret.New(url + "/services/T/B/x")}, down()); err != nil {
			t.Fatal(err)
		}
		r := <-requests
		var body struct{ Text string }
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatal(err)
		}
		if r.path != "/services/T/B/x" || !strings.Contains(body.Text, "&lt;!channel&gt;") || strings.Contains(body.Text, "<!") || !strings.Contains(body.Text, "<https://auth.example/status|Status page>") {
			t.Errorf("%s %q", r.path, body.Text)
		}
	})
	t.Run("ntfy", func(t *testing.T) {
		if err := s.Send(t.Context(), monitor.Channel{Name: "n", Kind: monitor.Ntfy, URL: secret.New(url + "/topic"), Token: secret.New("tk_x")}, down()); err != nil {
			t.Fatal(err)
		}
		r := <-requests
		var body struct {
			Topic, Title, Message, Click string
			Priority                     int
			Tags                         []string
		}
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatal(err)
		}
		if r.path != "/" || r.header.Get("Authorization") != "Bearer tk_x" || body.Topic != "topic" || body.Title != "DOWN: Shop <1>" || body.Priority != 4 || body.Click == "" || len(body.Tags) != 1 {
			t.Errorf("%s %v %s", r.path, r.header, r.body)
		}
	})
	t.Run("mail", func(t *testing.T) {
		var sent []string
		s.Mail = func(_ context.Context, id, to, language, subject string, lines []string) error {
			sent = append(sent, id, to, language, subject, strings.Join(lines, "|"))
			return nil
		}
		if err := s.Send(t.Context(), monitor.Channel{Name: "m", Kind: monitor.Mail, To: []string{"a@example.com"}, Language: "de"}, down()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(sent, " "); !strings.HasPrefix(got, "KEY-3-down a@example.com de DOWN: Shop <1> It is down since ") || !strings.HasSuffix(got, "Status page: https://auth.example/status") {
			t.Error(got)
		}
	})
}

// What an answer means for another try.
func TestFailures(t *testing.T) {
	s := sender(t)
	for status, want := range map[int]alert.Failure{
		410: {Permanent: true}, 400: {}, 404: {}, 302: {}, 429: {Unreachable: true}, 500: {Unreachable: true}, 503: {Unreachable: true},
	} {
		url, _ := target(t, always(status))
		err := s.Send(t.Context(), monitor.Channel{Kind: monitor.Slack, URL: secret.New(url)}, down())
		f, is := errors.AsType[*alert.Failure](err)
		if !is || f.Permanent != want.Permanent || f.Unreachable != want.Unreachable {
			t.Errorf("%d: %#v", status, err)
		}
	}
	err := s.Send(t.Context(), monitor.Channel{Kind: monitor.Slack, URL: secret.New("http://10.0.0.1/canary")}, down())
	if f, is := errors.AsType[*alert.Failure](err); !is || strings.Contains(f.Reason, "canary") || !strings.Contains(f.Reason, "inside") {
		t.Errorf("a target inside: %v", err)
	}
}

// A queue sends each event once to each channel that wants it, and a channel that fails is tried
// again without holding up another.
func TestQueue(t *testing.T) {
	both := make(chan struct{}) // closed when an event was given to the queue for the second time
	good, received := target(t, func(int) int { <-both; return 204 })
	flaky, tries := target(t, func(try int) int {
		if try == 1 {
			return 500
		}
		return 200
	})
	gone, refused := target(t, func(int) int { <-both; return 410 })
	q := alert.New(sender(t), []monitor.Channel{
		{Name: "good", Kind: monitor.Slack, URL: secret.New(good)},
		{Name: "flaky", Kind: monitor.Slack, URL: secret.New(flaky)},
		{Name: "gone", Kind: monitor.Slack, URL: secret.New(gone)},
		{Name: "others", Kind: monitor.Slack, URL: secret.New(good), Only: []monitor.EventKind{monitor.WentUp}},
	}, slog.New(slog.DiscardHandler))
	defer q.Close()
	q.Send(down())
	q.Send(down()) // the same ID, while it waits
	close(both)
	<-received
	<-refused
	<-tries
	<-tries
	for q.Waiting() > 0 {
		<-time.After(time.Millisecond)
	}
	select {
	case r := <-received:
		t.Errorf("sent a second time: %s", r.body)
	case <-refused:
		t.Error("tried again where nobody wants any more")
	default:
	}
	e := down()
	e.ID, e.Channels = "KEY-4-down", []string{"good"}
	q.Send(e)
	<-received
}

// What sends to a channel ends when the channel is taken away: the bubble ends although nobody closes the queue.
func TestTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := &alert.Sender{Post: func(*http.Request) (outward.Answer, error) { sent++; return outward.Answer{Status: http.StatusOK}, nil }}
		channels := []monitor.Channel{{Name: "a", Kind: monitor.Slack, URL: secret.New("https://a.example/")}}
		q := alert.New(s, channels, slog.New(slog.DiscardHandler))
		for range 2 { // it may come back
			q.Set(channels)
			q.Send(down())
			synctest.Wait()
			q.Set(nil)
			synctest.Wait()
		}
		if sent != 2 || q.Waiting() != 0 {
			t.Errorf("%d were sent, %d wait", sent, q.Waiting())
		}
	})
}

// What cannot be sent is given up after 24 hours, if more than 1,000 wait, and when the queue ends. The log says so.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &alert.Sender{Post: func(*http.Request) (outward.Answer, error) { return outward.Answer{Status: http.StatusBadRequest}, nil }}
		var log bytes.Buffer
		q := alert.New(s, []monitor.Channel{{Name: "a", Kind: monitor.Slack, URL: secret.New("https://a.example/")}}, slog.New(slog.NewTextHandler(&log, nil)))
		wait := func(d time.Duration, waiting int, lines ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			var got []string
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "given up") {
					_, line, _ = strings.Cut(strings.TrimSpace(line), " level=ERROR msg=")
					got = append(got, line)
				}
			}
			log.Reset()
			if n := q.Waiting(); n != waiting || len(got) != len(lines) {
				t.Fatalf("%d wait, want %d; the log says %q", n, waiting, got)
			}
			for i, line := range lines {
				if !strings.HasPrefix(got[i], line) {
					t.Errorf("the log says %q, want %q", got[i], line)
				}
			}
		}
		defer q.Close()
		q.Send(down())
		wait(24*time.Hour-time.Second, 1)
		wait(time.Hour+time.Second, 0, `"an alert was given up" channel=a event=KEY-3-down tries=`)
		for n := range 1002 {
			e := down()
			e.ID = fmt.Sprintf("KEY-%d-down", n)
			q.Send(e)
		}
		wait(0, 1000, `"an alert was given up" channel=a event=KEY-0-down why="too many wait"`, `"an alert was given up" channel=a event=KEY-1-down why="too many wait"`)
		q.Close()
		wait(0, 1000, `"alerts were given up" waiting=1000 why=`)
	})
}

// Nothing waits for a channel that was taken away, and a withdrawn event is not sent.
func TestWithdraw(t *testing.T) {
	dead, tries := target(t, always(500))
	channel := monitor.Channel{Name: "dead", Kind: monitor.Slack, URL: secret.New(dead)}
	q := alert.New(sender(t), []monitor.Channel{channel}, slog.New(slog.DiscardHandler))
	defer q.Close()
	first, second := down(), down()
	second.ID = "KEY-5-down"
	q.Send(first)
	<-tries
	q.Send(second) // the channel rests
	if got := q.Withdraw(second.ID); len(got) != 1 || got[0] != "dead" {
		t.Errorf("Withdraw = %v", got)
	}
	if got := q.Withdraw("other"); got != nil {
		t.Errorf("Withdraw of another = %v", got)
	}
	q.Set(nil)
	for q.Waiting() > 0 {
		<-time.After(time.Millisecond)
	}
	q.Send(first)
	if n := q.Waiting(); n != 0 {
		t.Errorf("%d wait for no channel", n)
	}
}
