package counterfoil_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// Two texts that differ in one bit anywhere are never one copy, nor is one text by two
// transports: a real JWT, and an opaque id.
func TestOneBitIsAnotherCopy(t *testing.T) {
	s := newScripted(t)
	for _, text := range []string{s.sign(t, "at+jwt", claims()), s.opaque("ses_1")} {
		for _, hot := range []bool{false, true} {
			found, forget := counterfoil.Remembering(text, hot)
			if !found(text, counterfoil.Header) {
				t.Fatalf("%.20s… is not remembered", text)
			}
			if found(text, counterfoil.Cookie) {
				t.Errorf("%.20s… is found by another transport", text)
			}
			for bit := range 8 * len(text) {
				other := []byte(text)
				other[bit/8] ^= 1 << (bit % 8)
				if found(string(other), counterfoil.Header) {
					t.Fatalf("%.20s… is found with bit %d changed", text, bit)
				}
			}
			for n := range len(text) {
				if found(text[n+1:], counterfoil.Header) || found(text[:n], counterfoil.Header) {
					t.Fatalf("%.20s… is found by a part of it", text)
				}
			}
			if forget(text); found(text, counterfoil.Header) {
				t.Errorf("%.20s… is found after it was forgotten", text)
			}
		}
	}
}

// Tags are different for different texts, transports and verifiers, in a process that may use
// nothing beyond FIPS 140 too.
func TestTags(t *testing.T) {
	for _, approved := range []bool{false, true} {
		one, other := counterfoil.Tags(approved), counterfoil.Tags(approved)
		if first := one("text", counterfoil.Header); first != one("text", counterfoil.Header) {
			t.Errorf("one text has two tags (%v)", approved)
		}
		if one("text", counterfoil.Header) == one("text", counterfoil.Cookie) || one("text", counterfoil.Header) == other("text", counterfoil.Header) {
			t.Errorf("a tag depends on neither transport nor key (%v)", approved)
		}
		all := map[[2]uint64]bool{}
		text := make([]byte, 700)
		for bit := range 8 * len(text) {
			text[bit/8] ^= 1 << (bit % 8)
			all[one(string(text), counterfoil.Header)] = true
			text[bit/8] = 0
		}
		for n := range len(text) + 1 {
			all[one(string(text[:n]), counterfoil.Header)] = true
		}
		if want := 8*len(text) + len(text) + 1; len(all) != want {
			t.Errorf("%d tags of %d texts (%v)", len(all), want, approved)
		}
	}
}

// What is remembered of a session is all of it.
func TestSessionIsKeptWhole(t *testing.T) {
	at := time.Unix(1_764_000_000, 0)
	full := counterfoil.Session{
		ID: "ses_1", Issuer: issuerURL, Subject: "alice", Client: "web", Audience: []string{issuerURL, "https://two.test"},
		Roles: []string{"staff", "ops"}, Scopes: []string{"read"}, Methods: []string{"pwd", "otp"}, ACR: "mfa", AuthTime: at.Add(-time.Hour),
		ClaimsVersion: 7, Actor: "boss", ActorSession: "ses_boss", ActorClient: "console", Attributes: map[string]string{"plan": "large", "": ""},
		Carrier: counterfoil.CarrierBearer, Origin: "https://app.test", TokenID: "tok_1", KeyID: "k1", IssuedAt: at, Expires: at.Add(time.Minute),
		Born: counterfoil.Cursor{Epoch: epoch, Seq: 1<<64 - 1},
	}
	value := reflect.ValueOf(&full).Elem()
	for _, field := range reflect.VisibleFields(value.Type()) {
		if field.Name != "Stale" && value.FieldByIndex(field.Index).IsZero() {
			t.Errorf("this test lacks a value for %s", field.Name)
		}
	}
	exact := full
	exact.AuthTime, exact.IssuedAt, exact.Expires = at.UTC(), time.Unix(5, 123456789), time.Time{}
	empty := counterfoil.Session{Roles: []string{}, Attributes: map[string]string{}, Expires: at, IssuedAt: at, AuthTime: at}
	before := counterfoil.Session{Expires: time.Unix(-5, 0), IssuedAt: time.Unix(-1<<40, 0), AuthTime: time.Unix(1<<40, 0)}
	for _, want := range []counterfoil.Session{full, exact, empty, before, {}} {
		if got := counterfoil.Packed(&want); !reflect.DeepEqual(*got, want) {
			t.Errorf("packed and unpacked:\n%+v\nwant\n%+v", *got, want)
		}
	}
}

func FuzzSessionIsKeptWhole(f *testing.F) {
	f.Add("ses_1", "alice", "tok_1", "staff", "name", "value", int64(1_764_000_000), int64(0), uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, id, subject, token, role, name, text string, issued, nanos int64, seq, version uint64) {
		want := counterfoil.Session{
			ID: id, Subject: subject, TokenID: token, Roles: []string{role}, Attributes: map[string]string{name: text},
			IssuedAt: time.Unix(issued%(1<<40), 0), Expires: time.Unix(issued%(1<<40), nanos%1e9), AuthTime: time.Unix(nanos%(1<<40), 0).UTC(),
			Born: counterfoil.Cursor{Epoch: version, Seq: seq}, ClaimsVersion: version,
		}
		if got := counterfoil.Packed(&want); !reflect.DeepEqual(*got, want) {
			t.Errorf("packed and unpacked:\n%+v\nwant\n%+v", *got, want)
		}
	})
}

// P1 and P3 where entries move: most copies are dropped, so that slabs are nearly empty, and what is
// left is moved to others. It is found as before, and what the log covers of it stays
// refused, whether it was revoked before it moved or afterwards.
func TestRevokedAfterItMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxSeen: 4096})
		defer v.Close()
		stay := map[string]string{} // session by text
		verify := func(text string) error { _, err := v.Verify(t.Context(), text); return err }
		for n := range 4000 {
			id := fmt.Sprint("ses_", n)
			text := s.opaque(id)
			life := time.Minute
			if n%16 == 0 {
				stay[text], life = id, time.Hour
			}
			s.set(func() { s.sessions[text].Expires = time.Now().Add(life) })
			if err := verify(text); err != nil {
				t.Fatal(err)
			}
		}
		texts := slices.Sorted(maps.Keys(stay))
		revoke := func(some []string) {
			var head counterfoil.Cursor
			for _, text := range some {
				head = s.revoke(source.ScopeSession, stay[text])
			}
			if err := v.WaitFor(t.Context(), head); err != nil {
				t.Fatal(err)
			}
		}
		early, late, good := texts[:len(texts)/3], texts[len(texts)/3:len(texts)*2/3], texts[len(texts)*2/3:]
		revoke(early)
		if err := verify(early[0]); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Fatalf("a revoked one: %v", err)
		}
		time.Sleep(12 * time.Minute) // most have ended, and are forgotten
		before := s.lookups.Load()
		places := map[string]any{}
		for text := range stay {
			places[text] = counterfoil.Place(v, text)
		}
		for n := range 500 { // each put moves what one slab has left
			if err := verify(s.opaque(fmt.Sprint("new_", n))); err != nil {
				t.Fatal(err)
			}
		}
		moved := 0
		for text, place := range places {
			if counterfoil.Place(v, text) != place {
				moved++
			}
		}
		if moved < len(texts)/2 {
			t.Fatalf("%d entries of %d moved: this test tests nothing", moved, len(texts))
		}
		revoke(late)
		for _, text := range slices.Concat(early, late) {
			if err := verify(text); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("%s: %v, want ErrRevoked", stay[text], err)
			}
		}
		for _, text := range good {
			if err := verify(text); err != nil {
				t.Errorf("%s: %v", stay[text], err)
			}
		}
		if n := s.lookups.Load() - before; n != 500 {
			t.Errorf("%d look-ups, want 500: what moved was not found", n)
		}
	})
}

// A hot copy is not found any more when its copy is gone, and what the log covers is refused.
func TestHotCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		gone, kept := s.opaque("ses_1"), s.opaque("ses_2")
		for range 2000 {
			for _, text := range []string{gone, kept} {
				if _, err := v.Verify(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := counterfoil.Hot(v); n != 2 {
			t.Fatalf("%d hot copies, want 2", n)
		}
		if n := testing.AllocsPerRun(1000, func() { _, _ = v.Verify(t.Context(), kept) }); n != 0 {
			t.Errorf("a check of a hot copy allocates %v", n)
		}
		s.revoke(source.ScopeSession, "ses_1")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), gone); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("after its revocation: %v", err)
		}
		if _, err := v.Verify(t.Context(), kept); err != nil {
			t.Errorf("the other one: %v", err)
		}
		time.Sleep(30 * time.Minute) // both have ended and are forgotten
		if n := counterfoil.Hot(v); n != 0 {
			t.Errorf("%d hot copies of sessions that have ended", n)
		}
	})
}

// What a check reads of an entry is one line of a processor's cache.
func TestEntryIsOneLine(t *testing.T) {
	for _, lines := range []int{8, 64, 1024} {
		if begin, size := counterfoil.LineOf(lines); begin != 0 || size != 64 {
			t.Errorf("of %d: %d bytes, %d behind the begin of a line", lines, size, begin)
		}
	}
}

// A session that has to be made is no memory of its own for a caller who does not keep it. Verify must
// stay small enough to be compiled into its callers for that.
func TestSessionThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		counterfoil.NoneHot(v)
		text := s.opaque("ses_1")
		const checks = 2000
		allocates := func(check func()) int64 {
			var before, after runtime.MemStats
			check() // first sight
			runtime.ReadMemStats(&before)
			for range checks {
				check()
			}
			runtime.ReadMemStats(&after)
			return int64(after.TotalAlloc-before.TotalAlloc) / checks
		}
		var kept *counterfoil.Session
		keep := allocates(func() { kept, _ = v.Verify(t.Context(), text) })
		read := allocates(func() {
			if s, err := v.Verify(t.Context(), text); err != nil || s.ID != kept.ID {
				t.Error("not the same session")
			}
		})
		if size := int64(unsafe.Sizeof(*kept)); keep-read < size/2 {
			t.Errorf("%d bytes for a check whose session is not kept, %d if it is: less by not even half of a session's %d", read, keep, size)
		}
	})
}

// MaxSeenBytes bounds what is remembered, and Status shows how much that is.
func TestMaxSeenBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		const room = 100_000
		v := follow(t, s, counterfoil.Options{MaxSeenBytes: room})
		defer v.Close()
		for n := range 2000 {
			text := s.opaque(fmt.Sprint("ses_", n))
			if n%3 == 0 {
				s.set(func() { s.sessions[text].Attributes = map[string]string{"note": fmt.Sprintf("%0500d", n)} })
			}
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		st := v.Status()
		if st.MaxSeenBytes != room || st.SeenBytes > room || st.SeenBytes < room/4 || st.Seen < 100 || st.Seen > 1000 {
			t.Errorf("%d copies in %d bytes of %d", st.Seen, st.SeenBytes, st.MaxSeenBytes)
		}
		time.Sleep(30 * time.Minute)
		if st := v.Status(); st.Seen != 0 || st.SeenBytes != 0 {
			t.Errorf("%d copies in %d bytes after all have ended", st.Seen, st.SeenBytes)
		}
		if n := counterfoil.Slabs(v); n != 0 {
			t.Errorf("%d slabs are kept", n)
		}
	})
}

// A check that is late never gets the session of another caller: neither one that has found a copy
// which is then dropped, nor one that has only read the slot that led to it. Others have
// the number of the slab by then, and the same place in it.
func TestLateCheck(t *testing.T) {
	c := counterfoil.NewFilled(4 << 20)
	c.Put("first", &counterfoil.Session{ID: "ses_first", Client: "web"})
	found := c.Use("first")
	late := c.Forget("first")
	for n := range 100 {
		c.Put(fmt.Sprint("other_", n), &counterfoil.Session{ID: fmt.Sprint("ses_other_", n), Client: "other"})
	}
	if s := found(); s.ID != "ses_first" || s.Client != "web" {
		t.Errorf("a check that had found the copy got the session %s of %s", s.ID, s.Client)
	}
	late()
	if found := c.Use("first"); found != nil {
		t.Errorf("a check that had read the slot got the session %s", found().ID)
	}
}

// P3: a check that waited for a look-up is refused, because an entry of the log has just arrived. The
// copy that the cache has of the same answer was accepted before, and is not notified yet. It is
// refused from here on.
func TestRefusedAfterLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		text := s.opaque("ses_1")
		counterfoil.AfterLookup(v, func() {
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Errorf("before the entry arrives: %v", err)
			}
			counterfoil.Index(v, source.Revocation{At: counterfoil.Cursor{Epoch: epoch, Seq: 1 << 40}, Scope: source.ScopeSession, ID: "ses_1", Expires: time.Now().Add(time.Hour)})
		})
		for range 3 {
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("after it arrived: %v, want ErrRevoked", err)
			}
		}
	})
}

// The busiest copies take no more than they may, also when large ones take the places of small ones.
func TestHotCopiesAreBounded(t *testing.T) {
	var texts []string
	for n := range 4000 {
		texts = append(texts, fmt.Sprintf("%043d", n))
	}
	for n := range 8000 {
		texts = append(texts, fmt.Sprintf("%08000d", n))
	}
	if taken, most := counterfoil.Heated(4<<20, texts); taken > most || taken < most/2 {
		t.Errorf("they take %d bytes, and may take %d", taken, most)
	}
}

// MaxSeenBytes bounds what is reachable: copies in use are small, and between them come
// once large ones, ones that share a session with no other, and pairs that share one of which the
// second is in use.
func TestMaxSeenBytesIsWhatIsReachable(t *testing.T) {
	scopes := func(n int) (list []string) {
		for i := range 200 {
			list = append(list, fmt.Sprintf("scope_%d_%d", n, i))
		}
		return list
	}
	for name, come := range map[string]func(c counterfoil.Filled, n int) (used string){
		"large": func(c counterfoil.Filled, n int) string {
			c.Put(fmt.Sprint("once_", n), &counterfoil.Session{ID: "id", Attributes: map[string]string{"note": fmt.Sprintf("%06000d", n)}})
			c.Put(fmt.Sprint("used_", n), &counterfoil.Session{ID: "id"})
			return fmt.Sprint("used_", n)
		},
		"unlike": func(c counterfoil.Filled, n int) string {
			c.Put(fmt.Sprint("once_", n), &counterfoil.Session{ID: "id", Scopes: scopes(n)})
			c.Put(fmt.Sprint("used_", n), &counterfoil.Session{ID: "id"})
			return fmt.Sprint("used_", n)
		},
		"pairs": func(c counterfoil.Filled, n int) string {
			c.Put(fmt.Sprint("once_", n), &counterfoil.Session{ID: "id", Scopes: scopes(n)})
			c.Put(fmt.Sprint("used_", n), &counterfoil.Session{ID: "id", Scopes: scopes(n)})
			return fmt.Sprint("used_", n)
		},
	} {
		c := counterfoil.NewFilled(4 << 20)
		var used []string
		for n := range 1500 {
			if used = append(used, come(c, n)); n%16 == 0 {
				for _, text := range used {
					c.Use(text)
				}
			}
			if said, most, reachable := c.Bytes(); n%100 == 0 && (said > most*11/10 || reachable > 2*most+256<<10) {
				t.Errorf("%s: after %d, %d bytes are said to be taken and %d are reachable, of %d", name, n, said, reachable, most)
			}
		}
		c.Empty()
		if said, _, _ := c.Bytes(); said != 0 {
			t.Errorf("%s: %d bytes are said to be taken by nothing", name, said)
		}
	}
}
