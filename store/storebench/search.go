package storebench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

var searched = flag.Int64("storebench.searched", 2000, "users, sessions, and entries of the audit trail, that a search is measured with")

// Search measures each search and list on s, with as many users and sessions as the flag
// storebench.searched says. Each session has its own user, a hundredth of them is of another client, and
// addresses are shared by some ten. First it reads all users and all sessions, as a program
// without a search would. It reports for each, in milliseconds:
//
//	p50-ms, p99-ms  the time of a page of 50
//	x-all           how many times longer it takes to read all users, or all sessions
//	looked          how many records the last page looked at
//
// and of the first start after an upgrade: us/record, the time to give a stored session its texts.
func Search(b *testing.B, s store.Store, withUsers bool) {
	n := *searched
	all := newSessions(b, s, counterfoil.CarrierBearer)
	now := all.began.Add(span)
	auth := newServer(b, clockless{s}, func() time.Time { return now })
	i, d := auth.Issuer(), auth.Users()
	check(b, i.Clients().Set(b.Context(), rights.Owner(), "shop", audit.Act{}, func(c *clients.Client) { c.Carriers = []counterfoil.Carrier{counterfoil.CarrierBearer} }))
	all.upgraded(b, s, i)
	if withUsers {
		loadUsers(b, s, n, now)
	}
	all.loadSearched(b, s, n)

	_, _, someone := ids(n / 2)
	sessions := func(what string, reading time.Duration, f func(n int64) issuer.Filter) {
		pages(b, "sessions/"+what, reading, func(at int64) (int, error) {
			found, err := i.Search(b.Context(), f(at), "", 50)
			return found.Looked, err
		})
	}
	reading := timed1(b, func() error {
		read := int64(0)
		for r, err := range s.List(b.Context(), "session", "*", "") {
			if err == nil {
				err = json.Unmarshal(r.Value, &issuer.SessionRow{})
			}
			if err != nil {
				return err
			}
			read++
		}
		if read != n {
			return fmt.Errorf("%d sessions, want %d", read, n)
		}
		return nil
	})
	sessions("all", reading, func(int64) issuer.Filter { return issuer.Filter{} })
	sessions("since", reading, func(int64) issuer.Filter { return issuer.Filter{Since: now.Add(-span / 4)} })
	sessions("client", reading, func(int64) issuer.Filter { return issuer.Filter{Client: "shop"} })
	sessions("address", reading, func(at int64) issuer.Filter { return issuer.Filter{Address: addressOf(at*7919%n, n)} })
	sessions("client and address", reading, func(at int64) issuer.Filter {
		return issuer.Filter{Client: "default", Address: addressOf(at*7919%n, n)}
	})
	sessions("user", reading, func(int64) issuer.Filter { return issuer.Filter{Subject: someone} })
	sessions("carrier", reading, func(int64) issuer.Filter { return issuer.Filter{Carrier: counterfoil.CarrierBearer} })
	sessions("device that nobody has", reading, func(int64) issuer.Filter { return issuer.Filter{Device: "no such device"} })
	if i.Indexed() {
		pages(b, "sessions/count of a client", reading, func(int64) (int, error) {
			count, _, err := i.Count(b.Context(), issuer.Filter{Client: "default"})
			return count, err
		})
	}
	pages(b, "sessions/after the middle", reading, func(int64) (int, error) {
		found, err := i.Search(b.Context(), issuer.Filter{}, store.Position{Text: middle(s, now), ID: "ses_"}.String(), 50)
		return found.Looked, err
	})
	if !withUsers {
		return
	}
	reading = timed1(b, func() error {
		for r, err := range s.List(b.Context(), "user", "*", "") {
			if err == nil {
				err = json.Unmarshal(r.Value, &directory.User{})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	users := func(what string, f func(n int64) directory.Filter) {
		pages(b, "users/"+what, reading, func(at int64) (int, error) {
			found, err := d.Search(b.Context(), f(at), "", 50)
			return found.Looked, err
		})
	}
	pages(b, "users/list by id", reading, func(at int64) (int, error) {
		_, _, after := ids(at * 7919 % n)
		page, _, err := d.List(b.Context(), after, 50)
		return len(page), err
	})
	users("one", func(at int64) directory.Filter { return directory.Filter{Text: fmt.Sprintf("user%d@", at*7919%n)} })
	users("many begin so", func(int64) directory.Filter { return directory.Filter{Text: "USER"} })
	users("word of a name", func(at int64) directory.Filter { return directory.Filter{Text: families[at%int64(len(families))]} })
	users("two words", func(at int64) directory.Filter {
		return directory.Filter{Text: families[at%int64(len(families))] + fmt.Sprintf(" user%d", at*7919%1000)}
	})
	users("role", func(int64) directory.Filter { return directory.Filter{Role: "support"} })
	users("disabled", func(int64) directory.Filter { return directory.Filter{Disabled: new(true)} })
	users("created", func(int64) directory.Filter { return directory.Filter{Since: now.Add(-time.Hour)} })
	pages(b, "users/count of a beginning", reading, func(int64) (int, error) {
		count, _, err := d.Count(b.Context(), directory.Filter{Text: "user"})
		return count, err
	})
}

// middle is a position in the middle of the sessions.
func middle(s store.Store, now time.Time) string {
	if !s.Describe().Indexed {
		return "0128"
	}
	return fmt.Sprintf("t|%08x", 1<<32-1-now.Add(-span/2).Unix())
}

var families = []string{"Okafor", "Nowak", "García", "Müller", "Sato", "Haddad", "Novák", "Silva", "Kaya", "Nguyen"}

func loadUsers(b *testing.B, s store.Store, n int64, now time.Time) {
	for from := int64(0); from < n; {
		var batch store.Batch
		for ; from < n && len(batch.Put) < 1000; from++ {
			_, _, id := ids(from)
			u := directory.User{
				Identifier: fmt.Sprintf("user%d@example.org", from), Name: fmt.Sprintf("Given%d %s", from%997, families[from%int64(len(families))]),
				Status: directory.Active, Created: now.Add(-time.Duration(from) * time.Second),
			}
			if from%1000 == 5 {
				u.Status, u.Roles = directory.Disabled, []string{"support"}
			}
			value, err := json.Marshal(u)
			check(b, err)
			at := fmt.Sprintf("|%08x", 1<<32-1-u.Created.Unix())
			index := []string{"t" + at, "q" + u.Identifier, "q" + id, fmt.Sprintf("qgiven%d", from%997), store.Text("q", strings.ToLower(families[from%int64(len(families))]), "")}
			if u.Status == directory.Disabled {
				index = append(index, "d"+at, "rsupport"+at)
			}
			batch.Put = append(batch.Put, store.Record{Key: store.Key{Kind: "user", ID: id}, Value: value, Index: index})
		}
		_, err := s.Commit(context.Background(), batch)
		check(b, err)
	}
}

// addressOf is the address of the login of the n-th of all sessions.
func addressOf(n, all int64) netip.Addr {
	n /= 10
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// loadSearched creates n sessions that a search can tell from each other.
func (all *sessions) loadSearched(b *testing.B, s store.Store, n int64) {
	for from := int64(0); from < n; {
		var batch store.Batch
		for ; from < n && len(batch.Put) < 1000; from++ {
			records := all.of(from)
			var row issuer.SessionRow
			check(b, json.Unmarshal(records[0].Value, &row))
			pairs := []string{row.FirstAddress.String(), addressOf(from, n).String()}
			if from%100 == 7 {
				pairs = append(pairs, `"client":"default"`, `"client":"shop"`, "cdefault|", "cshop|")
			}
			renamed := strings.NewReplacer(pairs...)
			records[0].Value, records[0].Index = []byte(renamed.Replace(string(records[0].Value))), slices.Clone(records[0].Index)
			for t, text := range records[0].Index {
				records[0].Index[t] = renamed.Replace(text)
			}
			batch.Put = append(batch.Put, records...)
		}
		_, err := s.Commit(context.Background(), batch)
		check(b, err)
	}
}

// upgraded measures what the first start after an upgrade does with a few sessions that have no
// texts.
func (all *sessions) upgraded(b *testing.B, s store.Store, i *issuer.Issuer) {
	if !s.Describe().Indexed {
		return
	}
	const few = 2000
	all.load(b, plain{s}, *searched, *searched+few)
	_, err := s.Commit(b.Context(), store.Batch{Delete: []store.Key{{Kind: "texts", ID: "session"}}})
	check(b, err)
	took := timed1(b, func() error { return i.Reindex(b.Context(), func(int) {}) })
	b.Run("reindex", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(took.Microseconds())/few, "us/record")
	})
	var ended store.Batch
	for n := *searched; n < *searched+few; n++ {
		ended.Delete = append(ended.Delete, all.keys(n)...)
	}
	_, err = s.Commit(b.Context(), ended)
	check(b, err)
}

func timed1(b *testing.B, do func() error) time.Duration {
	b.Helper()
	begun := time.Now()
	check(b, do())
	return time.Since(begun)
}

// pages measures one search.
func pages(b *testing.B, what string, reading time.Duration, page func(n int64) (looked int, err error)) {
	b.Run(what, func(b *testing.B) {
		var took []time.Duration
		looked := 0
		for n := int64(0); b.Loop(); n++ {
			begun := time.Now()
			var err error
			looked, err = page(n)
			check(b, err)
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		p99 := took[len(took)*99/100]
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(reading)/float64(p99), "x-all")
		b.ReportMetric(float64(looked), "looked")
	})
}

// Texts compares logins and refreshes on s with those of an issuer whose sessions get no index
// texts, in the same store and in the same run. x-raw is how many times more a call costs with
// the texts.
func Texts(b *testing.B, s store.Store) {
	without, with := new(fleet), new(fleet)
	without.join(b, plain{s})
	with.join(b, s)
	signIn := func(f *fleet) Op {
		return func(ctx context.Context, n int64) error {
			subject := fmt.Sprint("usr_texts", n%100_000)
			address := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
			_, err := f.nodes[0].Login(ctx, login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now(), Roles: []string{"staff"}},
				issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: browsers[n%int64(len(browsers))], Act: audit.Act{Address: address}})
			return err
		}
	}
	b.Run("login", func(b *testing.B) { Compare(b, fleetCallers, fleetCallers, signIn(without), signIn(with)) })
	b.Run("refresh", func(b *testing.B) {
		refresh := func(f *fleet) Op {
			families := max(256, each(b, fleetCallers)*(1+turns)/20)
			tokens := make(chan string, families)
			for made := f.logins(b, families); len(made) > 0; {
				tokens <- (<-made).Refresh.Reveal()
			}
			return func(ctx context.Context, _ int64) error {
				got, err := f.nodes[0].Refresh(ctx, <-tokens, issuer.Renewal{})
				if err == nil {
					tokens <- got.Refresh.Reveal()
				}
				return err
			}
		}
		Compare(b, fleetCallers, fleetCallers, refresh(without), refresh(with))
	})
}

// plain is a store that keeps no index texts.
type plain struct{ store.Store }

func (p plain) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	for n := range b.Put {
		b.Put[n].Index = nil
	}
	return p.Store.Commit(ctx, b)
}
