package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// files looks at who may read what.
func (d *doctor) files() {
	if d.Store == "memory" {
		return
	}
	info, err := os.Stat(d.Data)
	if err != nil {
		d.gone("files", err, "mkdir -m 700 "+d.Data)
		return
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		d.add("files", isFail, fmt.Sprintf("%s may be written by others (mode %o): whoever can replace its files signs tokens", d.Data, mode), "chmod 700 "+d.Data)
	}
	well := true
	for _, name := range []string{sealName, databaseName, databaseName + "-wal", sessionsName, socketName} {
		path := filepath.Join(d.Data, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			if name == sealName {
				well = false
				d.add("files", isWarn, path+" is not there yet", "the first start makes it; every other node needs a copy before its own")
			}
			continue
		}
		if err != nil {
			well = false
			d.add("files", isFail, err.Error(), "run this as the server's user")
			continue
		}
		if info.Mode().Perm()&0o077 != 0 {
			well = false
			d.add("files", isFail, fmt.Sprintf("%s may be read by others (mode %o)", path, info.Mode().Perm()), "chmod 600 "+path)
		}
	}
	if well {
		d.ok("files", "nobody but their owner reads the files in %s", d.Data)
	}
}

// sweepLate is how long after its expiry a record may still be there: every server
// sweeps each minute.
const sweepLate = 10 * time.Minute

// stores examines the store, and that of sessions.
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
		d.add(area, isWarn, "memory: what it holds ends with the process", "name a store that lasts")
		return
	case isPostgres(name):
		e, err = postgres.Examine(ctx, postgres.Options{URL: name}, before)
	case isRedis(name):
		e, err = redis.Examine(ctx, redis.Options{URL: name, Password: d.SessionsPass.Reveal()})
	default:
		path := filepath.Join(d.Data, file)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			d.add(area, isWarn, path+" is not there yet", "the first start makes it; is this the server's folder?")
			return
		}
		e, err = sqlite.Examine(ctx, path, before)
	}
	if err != nil {
		d.gone(area, err, cmp.Or(openHint(err), "no server can work without it"))
		return
	}
	d.ok(area, "%s answers in %v", e.Engine, e.Answers.Round(10*time.Microsecond))
	if e.Class == store.Durable {
		d.ok(area, "durable: what is acknowledged is on disk")
	} else {
		d.add(area, isWarn, "lossy: "+e.Why, "make it durable, or know that a crash of it signs people out")
	}
	if e.Within > 0 {
		d.skew(area, "its", e.Ahead, e.Within)
	}
	for _, r := range e.Remarks {
		d.add(area, map[bool]string{true: isFail, false: isWarn}[r.Broken], r.Text, r.Hint)
	}
	switch {
	case e.Overdue > 0:
		d.add(area, isWarn, fmt.Sprintf("%d records and entries expired more than %v ago and are still there", e.Overdue, sweepLate), "servers drop them every minute: does one run, and does its log say why it cannot?")
	case !isRedis(name):
		d.ok(area, "nothing waits to be dropped")
	}
}

// keys asks the server that runs on the folder for the age of its signing key.
func (d *doctor) keys(ctx context.Context) {
	if d.Store == "memory" {
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(d.Data, socketName))
	if err != nil {
		d.add("keys", isWarn, "were not looked at: no server runs on "+d.Data, "run this beside the server, as its user")
		return
	}
	_ = conn.Close()
	a, err := d.admin(ctx, false)
	if err != nil {
		d.gone("keys", err, "")
		return
	}
	defer a.close()
	keys, err := a.SigningKeys(ctx)
	if err != nil {
		d.gone("keys", err, "")
		return
	}
	d.judgeKeys(keys)
}

// keyOld is when a signing key should long have been followed by another: the ring
// turns every 30 days by itself.
const keyOld = 32 * 24 * time.Hour

func (d *doctor) judgeKeys(keys []keyring.Description) {
	for _, k := range keys {
		if k.Status != "active" {
			continue
		}
		age := d.now().Sub(k.From)
		if age > keyOld {
			d.add("keys", isWarn, fmt.Sprintf("%s has been signing for %d days", k.ID, int(age.Hours()/24)), "the ring turns every 30 days while a server runs: see its log for sweeps that failed; counterfoil key rotate")
			return
		}
		d.ok("keys", "%s (%s) has been signing for %d days", k.ID, k.Alg, int(age.Hours()/24))
		return
	}
	d.add("keys", isFail, "no key signs", "counterfoil key rotate")
}
