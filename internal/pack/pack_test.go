package pack_test

import (
	"bytes"
	"testing"

	"github.com/counterfoil/counterfoil/internal/pack"
)

// samples has the records that the issuer writes for two logins and for a grant.
var samples = map[string]struct {
	r     pack.Record
	value string
	limit int
}{
	"opaque session": {
		pack.Record{ID: "ses_762sonsj6gnbxn54anrticqgcg3nwnry", Owner: "usr_xyy3hoohu63c7lgen6da3wax6j", Expires: 1795666931},
		`{"id":"ses_762sonsj6gnbxn54anrticqgcg3nwnry","subject":"usr_xyy3hoohu63c7lgen6da3wax6j","client":"default","carrier":"cookie","created":"2026-11-24T04:05:30.623983012Z","auth_time":"2026-11-24T04:05:30.620983012Z","last_seen":"2026-11-24T04:05:30.623983012Z","idle_expires":"2026-11-24T05:05:30.623983012Z","absolute_expires":"2026-11-25T04:05:30.623983012Z","methods":["pwd"],"roles":["admin","user"],"device":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36","first_address":"203.0.113.77","last_address":"203.0.113.77","client_gen":1,"all_gen":2}`,
		85,
	},
	"session": {
		pack.Record{ID: "ses_762sonsj6gnbxn54anrticqgcg", Owner: "usr_xyy3hoohu63c7lgen6da3wax6j", Expires: 1795666931},
		`{"id":"ses_762sonsj6gnbxn54anrticqgcg","subject":"usr_xyy3hoohu63c7lgen6da3wax6j","client":"default","carrier":"bearer","created":"2026-11-24T04:05:30Z","auth_time":"2026-11-24T04:05:30Z","last_seen":"2026-11-24T04:05:30Z","idle_expires":"2026-11-25T04:05:30Z","absolute_expires":"2026-11-25T04:05:30Z","methods":["pwd"],"roles":["staff"],"device":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36","first_address":"203.0.113.77","last_address":"203.0.113.77","grant":"h5teUl-d43JV8J6D10LAmg"}`,
		75,
	},
	"grant": {
		pack.Record{ID: "h5teUl-d43JV8J6D10LAmg", Owner: "usr_xyy3hoohu63c7lgen6da3wax6j", Expires: 1795666930},
		`{"id":"h5teUl-d43JV8J6D10LAmg","session":"ses_762sonsj6gnbxn54anrticqgcg","subject":"usr_xyy3hoohu63c7lgen6da3wax6j","client":"default","counter":1,"rotated":"2026-11-24T04:05:30Z","expires":"2026-11-25T04:05:30Z"}`,
		40,
	},
}

func TestSamples(t *testing.T) {
	for name, s := range samples {
		b := pack.AppendValue(nil, []byte(s.value), s.r)
		t.Logf("%s: %d bytes of JSON in %d", name, len(s.value), len(b))
		if len(b) > s.limit {
			t.Errorf("%s: %d bytes of JSON are packed in %d, want %d", name, len(s.value), len(b), s.limit)
		}
	}
}

// Unpacking gives the bytes that were packed. Two ids never have the same packed form.
func FuzzPack(f *testing.F) {
	for _, s := range samples {
		f.Add(s.value, s.r.ID, s.r.Owner, s.r.Expires)
	}
	f.Add(`{"t":"2026-11-24T04:05:30+01:30","u":"2026-11-24T04:05:30.5+01:30","v":"2026-02-30T00:00:00Z"}`, "\x01\x02", "", int64(-5))
	f.Add(`["2001:db8::1","::ffff:1.2.3.4","::ffff:1.2.3.4","1.2.3.04","fe80::1%eth0","::","a:b","0000-11-24T04:05:30Z"]`, "x", "usr_", int64(0))
	f.Add("\x00\x80\xffé"+`"2026-11-24T04:05:30-00:00"`, "h5teUl-d43JV8J6D10LAmg", "12345", int64(1)<<41)
	f.Fuzz(func(t *testing.T, value, id, owner string, expires int64) {
		if len(id) > pack.MaxID || len(owner) > pack.MaxID || len(value) > 2000 {
			return
		}
		for _, s := range []string{id, owner} {
			p := pack.AppendID(nil, s)
			if got, n := pack.ID(append(p, "more"...)); got != s || n != len(p) {
				t.Fatalf("id %q came back as %q, %d of %d bytes", s, got, n, len(p))
			}
		}
		r := pack.Record{ID: id, Owner: owner, Expires: expires}
		b := pack.AppendValue([]byte("before"), []byte(value), r)[len("before"):]
		got, err := pack.Value(b, r)
		if err != nil || !bytes.Equal(got, []byte(value)) {
			t.Fatalf("%q came back as %q, %v", value, got, err)
		}
		if len(b) > 1+len(value) {
			t.Fatalf("%d bytes grew to %d", len(value), len(b))
		}
		for n := range b { // a damaged value is an error or another value, never a panic
			_, _ = pack.Value(b[:n], r)
		}
	})
}

// Unpacking any bytes does not panic.
func FuzzUnpack(f *testing.F) {
	for _, s := range samples {
		f.Add(pack.AppendValue(nil, []byte(s.value), s.r))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = pack.ID(b)
		_, _ = pack.Value(b, pack.Record{ID: "x"})
	})
}

func BenchmarkValue(b *testing.B) {
	for name, s := range samples {
		value, buf := []byte(s.value), make([]byte, 0, 1000)
		b.Run("pack "+name, func(b *testing.B) {
			for range b.N {
				pack.AppendValue(buf, value, s.r)
			}
		})
		packed := pack.AppendValue(nil, value, s.r)
		b.Run("unpack "+name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := pack.Value(packed, s.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
