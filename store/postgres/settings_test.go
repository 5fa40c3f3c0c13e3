package postgres_test

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// unusual are settings that some role, database or server has. Each alone is right. TestContract
// has them too.
const unusual = `
search_path = nowhere, pg_catalog
client_encoding = LATIN1
client_min_messages = error
standard_conforming_strings = off
escape_string_warning = on
backslash_quote = off
bytea_output = escape
DateStyle = 'German, DMY'
IntervalStyle = sql_standard
TimeZone = 'Asia/Kathmandu'
lc_messages = 'C'
extra_float_digits = -15
array_nulls = off
transform_null_equals = on
quote_all_identifiers = on
row_security = off
check_function_bodies = off
default_transaction_isolation = serializable
default_transaction_read_only = on
default_transaction_deferrable = on
synchronous_commit = off
statement_timeout = '5s'
lock_timeout = '1ms'
idle_in_transaction_session_timeout = '20ms'
idle_session_timeout = '5s'
jit = on
jit_above_cost = 0
plan_cache_mode = force_custom_plan
enable_indexscan = off
work_mem = '64kB'`

// unusualRole makes a role with these settings, and returns the URL of a database for it.
func unusualRole(t *testing.T, server *testsvc.Postgres) (as func(dsn string) string) {
	t.Helper()
	role := "r" + strings.ToLower(rand.Text())
	statements := "CREATE ROLE " + role + " SUPERUSER LOGIN"
	for line := range strings.Lines(strings.TrimSpace(unusual)) {
		statements += "; ALTER ROLE " + role + " SET " + line
	}
	server.Exec(t, "postgres", statements)
	return func(dsn string) string { return strings.Replace(dsn, "cf@", role+"@", 1) }
}

const latin1 = "template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"

// Names are in any script, and the bytes that come back are those that were put. SQL_ASCII
// converts nothing, EUC_JP has more than one byte for a letter.
func TestEncodings(t *testing.T) {
	server := testsvc.SharedPostgres(t)
	as := unusualRole(t, server)
	want := store.Record{Key: store.Key{Kind: "user", ID: "usr_1"}, Value: []byte(`{"name":"Łucja 日本 علی\u200c\\"}`)}
	for _, encoding := range []string{"UTF8", "LATIN1", "SQL_ASCII", "EUC_JP"} {
		_, dsn := server.Database(t, strings.Replace(latin1, "LATIN1", encoding, 1))
		s := open(t, as(dsn))
		if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{want}}); err != nil {
			t.Errorf("%s: Commit = %v", encoding, err)
		}
		if got, err := s.Get(t.Context(), want.Key); err != nil || !bytes.Equal(got[0].Value, want.Value) {
			t.Errorf("%s: Get = %s, %v", encoding, got[0].Value, err)
		}
		e, err := postgres.Examine(t.Context(), postgres.Options{URL: as(dsn)}, time.Now())
		remarked := slices.ContainsFunc(e.Remarks, func(r store.Remark) bool { return strings.Contains(r.Text, "its encoding is "+encoding) && !r.Broken })
		if err != nil || remarked != (encoding != "UTF8") {
			t.Errorf("%s: Examine = %+v, %v", encoding, e.Remarks, err)
		}
	}
}

// These settings decide what is acknowledged and for how long a connection lives. Nothing else in
// the tests would notice them.
func TestUnusualSettingsOfConnections(t *testing.T) {
	server := testsvc.SharedPostgres(t)
	as := unusualRole(t, server)
	_, dsn := server.Database(t, "")
	s := open(t, as(dsn))
	for name, want := range map[string]string{
		"client_min_messages": "warning", "idle_session_timeout": "0", "statement_timeout": "10s", "lock_timeout": "0",
		"idle_in_transaction_session_timeout": "10s", "default_transaction_isolation": "read committed", "default_transaction_read_only": "off",
		"synchronous_commit": "on", "client_encoding": "UTF8", "enable_indexscan": "on", "jit": "off",
	} {
		if got, err := s.Setting(t.Context(), name); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}
