package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// files checks the permissions of the data folder: all that stops the start of a server, and
// what a server has left there.
func (d *doctor) files() {
	if d.Store == "memory" {
		return
	}
	owner, err := private.Folder(d.Data)
	if bad, ok := errors.AsType[*private.Error](err); ok {
		d.add("files", isFail, bad.Path+" "+bad.Problem, bad.Hint)
		return
	}
	if err != nil {
		d.unreachable("files", err, "mkdir -m 700 "+d.Data)
		return
	}
	well := true
	for _, name := range append(slices.Clone(dataFiles), databaseName+"-wal", sessionsName+"-wal", socketName) {
		path := filepath.Join(d.Data, name)
		err := d.checkFile(owner, name)
		bad, untrusted := errors.AsType[*private.Error](err)
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == sealName:
			well = false
			d.add("files", isWarn, path+" is not there yet", "the first start of a server makes it; copy it to every other node before the first start there")
		case untrusted:
			well = false
			d.add("files", isFail, bad.Path+" "+bad.Problem, bad.Hint)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			well = false
			d.add("files", isFail, err.Error(), "run this as the server's user")
		}
	}
	if well {
		d.ok("files", "only their owner may read the files in %s", d.Data)
	}
}

// sweepLate is how long after its expiry a record may still be in the store. Every server
// deletes expired records each minute.
const sweepLate = 10 * time.Minute

// stores examines the store and, if it is another one, the store of sessions.
func (d *doctor) stores(ctx context.Context) {
	d.store(ctx, "store", d.Store, databaseName)
	if d.apart() {
		d.store(ctx, "sessions", d.Sessions, sessionsName)
	}
}

func (d *doctor) store(ctx context.Context, area, name, file string) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var e store.Examination
	var err error
	before := d.now().Add(-sweepLate)
	switch {
	case name == "memory":
		d.add(area, isWarn, "memory: its data ends with the process", "choose sqlite or postgres")
		return
	case isPostgres(name):
		e, err = postgres.Examine(ctx, postgres.Options{URL: name}, before)
	case redis.IsURL(name):
		e, err = redis.Examine(ctx, redis.Options{URL: name, Password: d.SessionsPass.Reveal()})
	default:
		path := filepath.Join(d.Data, file)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			d.add(area, isWarn, path+" is not there yet", "the first start of a server makes it; check that this is the folder of the server")
			return
		}
		e, err = sqlite.Examine(ctx, path, before)
	}
	if err != nil {
		d.unreachable(area, err, cmp.Or(openHint(name, err), "a server cannot start without it"))
		return
	}
	d.ok(area, "%s answers in %v", e.Engine, e.Answers.Round(10*time.Microsecond))
	if e.Class == store.Durable {
		d.ok(area, "durable: it acknowledges what is on disk")
	} else {
		d.add(area, isWarn, "lossy: "+e.Why, "make it durable, or expect that a crash of it signs users out")
	}
	if e.Within > 0 {
		d.skew(area, "its", e.Ahead, e.Within)
	}
	for _, r := range e.Remarks {
		d.add(area, map[bool]string{true: isFail, false: isWarn}[r.Broken], r.Text, r.Hint)
	}
	switch {
	case e.Overdue > 0:
		d.add(area, isWarn, fmt.Sprintf("%d records and entries expired more than %v ago and are still there", e.Overdue, sweepLate), "a running server deletes them every minute: check that one runs, and its log")
	case !redis.IsURL(name):
		d.ok(area, "no expired records are left")
	}
}

// keys asks the server that runs on the folder how old its signing key is.
func (d *doctor) keys(ctx context.Context) {
	if d.Store == "memory" {
		return
	}
	a, err := d.running(ctx)
	if err != nil {
		d.unreachable("keys", err, "")
		return
	}
	if a == nil {
		d.add("keys", isWarn, "were not checked: no server runs on "+d.Data, "run this where the server runs, as its user")
		return
	}
	defer a.close()
	keys, err := a.SigningKeys(ctx)
	if err != nil {
		d.unreachable("keys", err, "")
		return
	}
	d.judgeKeys(keys)
}

// keyOld is the age that no signing key should reach: a server rotates every 30 days by itself.
const keyOld = 32 * 24 * time.Hour

func (d *doctor) judgeKeys(keys []keyring.Description) {
	for _, k := range keys {
		if k.Status != "active" {
			continue
		}
		age := d.now().Sub(k.From)
		if age > keyOld {
			d.add("keys", isWarn, fmt.Sprintf("%s has been signing for %d days", k.ID, int(age.Hours()/24)), "a running server rotates every 30 days: see its log for sweeps that failed; counterfoil key rotate")
			return
		}
		d.ok("keys", "%s (%s) has been signing for %d days", k.ID, k.Alg, int(age.Hours()/24))
		return
	}
	d.add("keys", isFail, "no key signs", "counterfoil key rotate")
}
