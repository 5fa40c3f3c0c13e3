package redis

import (
	"bytes"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

const sampleID, sampleOwner = "ses_762sonsj6gnbxn54anrticqgcg3nwnry", "usr_xyy3hoohu63c7lgen6da3wax6j"

// sample is what the issuer writes for a login with an opaque cookie.
const sample = `{"id":"` + sampleID + `","subject":"` + sampleOwner + `","client":"default","carrier":"cookie","created":"2026-11-24T04:05:30.623983012Z","auth_time":"2026-11-24T04:05:30.620983012Z","last_seen":"2026-11-24T04:05:30.623983012Z","idle_expires":"2026-11-24T05:05:30.623983012Z","absolute_expires":"2026-11-25T04:05:30.623983012Z","methods":["pwd"],"roles":["admin","user"],"device":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36","first_address":"203.0.113.77","last_address":"203.0.113.77","client_gen":1,"all_gen":2}`

func TestPackSample(t *testing.T) {
	r := store.Record{Key: store.Key{Kind: "session", ID: sampleID}, Owner: sampleOwner, Value: []byte(sample), Expires: time.Unix(1700000000, 0)}
	if b := packRecord(r); len(b) > 140 {
		t.Errorf("%d bytes of JSON are packed in %d", len(sample), len(b))
	}
}

// What is unpacked is what was packed, byte for byte, and no two ids have one form.
func FuzzPack(f *testing.F) {
	f.Add(sample, sampleID, sampleOwner, uint64(1), int64(1700000000))
	f.Add(`{"t":"2026-11-24T04:05:30+01:30","u":"2026-11-24T04:05:30.5+01:30","v":"2026-02-30T00:00:00Z"}`, "\x01\x02", "", uint64(1<<63), int64(-5))
	f.Add("\x00\x80\xffé"+`"2026-11-24T04:05:30-00:00"`, "h5teUl-d43JV8J6D10LAmg", "12345", uint64(0), int64(1)<<41)
	f.Fuzz(func(t *testing.T, value, id, owner string, rev uint64, expires int64) {
		if len(id) > 200 || len(owner) > 200 || len(value) > 2000 || rev+1 == 0 {
			return
		}
		for _, s := range []string{id, owner} {
			if got, err := unpackID([]byte(packID(s))); err != nil || got != s {
				t.Fatalf("id %q came back as %q, %v", s, got, err)
			}
		}
		r := store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: owner, Rev: rev, Value: []byte(value), Expires: time.Unix(expires, 0)}
		b := packRecord(r)
		got, err := unpackRecord(r.Key, b)
		if err != nil || !bytes.Equal(got.Value, r.Value) || got.Owner != owner || got.Rev != rev+1 {
			t.Fatalf("%+v came back as %+v, %v", r, got, err)
		}
		if want := min(max(expires, 1), maxUnix); want == expires && got.Expires.Unix() != expires {
			t.Fatalf("expiry %d came back as %v", expires, got.Expires)
		}
		if len(b) > headerSize+1+len(owner)+10+len(value) {
			t.Fatalf("%d bytes grew to %d", len(value), len(b))
		}
		for n := range b { // a damaged one is an error or another value, never a panic
			_, _ = unpackRecord(r.Key, b[:n])
		}
	})
}

// The inverse of packID is a function of any bytes.
func FuzzUnpack(f *testing.F) {
	f.Add(packRecord(store.Record{Key: store.Key{ID: sampleID}, Owner: sampleOwner, Value: []byte(sample)}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = unpackID(b)
		_, _ = unpackRecord(store.Key{ID: "x"}, b)
	})
}
