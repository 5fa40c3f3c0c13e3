package redis

import (
	"bytes"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// unpackRecord returns the record that packRecord was given.
func FuzzRecord(f *testing.F) {
	f.Add(`{"id":"a","subject":"usr_xyy3hoohu63c7lgen6da3wax6j"}`, "a", "usr_xyy3hoohu63c7lgen6da3wax6j", uint64(1), int64(1700000000))
	f.Add("\x00\x80\xff", "\x01\x02", "", uint64(1<<63), int64(-5))
	f.Add("", "h5teUl-d43JV8J6D10LAmg", "12345", uint64(0), int64(1)<<41)
	f.Fuzz(func(t *testing.T, value, id, owner string, rev uint64, expires int64) {
		if len(id) > 200 || len(owner) > 200 || len(value) > 2000 || rev+1 == 0 {
			return
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
		for n := range b { // a damaged record is an error or another value, never a panic
			_, _ = unpackRecord(r.Key, b[:n])
		}
	})
}
