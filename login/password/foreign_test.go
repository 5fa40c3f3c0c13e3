package password

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// oldPassword is what all of testdata/foreign.json was made from, by passlib 1.7.4,
// Django 3.2 and Werkzeug 2.2; the scrypt ones by Python's hashlib.
const oldPassword = "pässword of olden days"

func foreignHashes(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/foreign.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Every spelling has one that is kept, and that one lets its password in and no other.
func TestForeignHashes(t *testing.T) {
	all := foreignHashes(t)
	const secret = `{"value":"%","salt":"MDEyMzQ1Njc4OWFiY2RlZg=="}`
	for how, value := range map[string]string{
		`{"hashIterations":1000,"algorithm":"pbkdf2-sha256"}`: "1UTjFI2FPinsxwWMCsYbXmfwaLI0CikRx0tx1RrGJBwJqhKTSbBPxatE9epPPPkRtQ6NuYzXDq7XAo9TJodnkA==",
		`{"hashIterations":1000,"algorithm":"pbkdf2-sha512"}`: "bFERBN9L/c87kcBxBOmR4Y4iY1o+AY+z31WEsvH4MM15t2QUQoRqr9ANAdv9+5c3T5Xnru9gmzNjGlfP+Xpv1w==",
		`{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`: "ajhKGTjemvSj+WZvS3IQucenOdsTS+sfsBzc6toKf8c=",
	} {
		got, err := Keycloak(how, strings.Replace(secret, "%", value, 1))
		if err != nil {
			t.Errorf("Keycloak(%s) = %v", how, err)
		}
		all["Keycloak "+how] = got
	}
	for name, foreign := range all {
		spelling, err := Canonical(foreign)
		if err != nil {
			t.Errorf("%s: Canonical(%s) = %v", name, foreign, err)
			continue
		}
		if again, err := Canonical(spelling); err != nil || again != spelling {
			t.Errorf("%s: Canonical(%s) = %s, %v", name, spelling, again, err)
		}
		for attempt, want := range map[string]bool{oldPassword: true, oldPassword + " ": false, "": false, "null": false, strings.ToUpper(oldPassword): false} {
			match, outdated, err := verify(spelling, attempt, insecure)
			if match != want || err != nil {
				t.Errorf("%s: verify(%s, %q) = %v, %v", name, spelling, attempt, match, err)
			}
			if want && !outdated && !strings.HasPrefix(spelling, "$argon2id$") {
				t.Errorf("%s: is not hashed anew", name)
			}
		}
	}
}

// The example that Firebase publishes.
func TestFirebase(t *testing.T) {
	p := FirebaseProject{
		Algorithm: "SCRYPT", SaltSeparator: "Bw==", Rounds: 8, MemCost: 14,
		SignerKey: "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
	}
	const sum, salt = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==", "42xEC+ixf3L2lw=="
	kept, err := p.Firebase(sum, salt)
	if err != nil {
		t.Fatal(err)
	}
	for attempt, want := range map[string]bool{"user1password": true, "user2password": false} {
		if match, _, err := verify(kept, attempt, production); match != want || err != nil {
			t.Errorf("verify(%s, %s) = %v, %v", kept, attempt, match, err)
		}
	}
	// As others write it.
	if again, err := Canonical("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=" + p.SignerKey + "$" + salt + "$" + sum); err != nil || again != kept {
		t.Errorf("Canonical = %s, %v, want %s", again, err, kept)
	}
	p.Algorithm = "HMAC_SHA256"
	if got, err := p.Firebase(sum, salt); !errors.Is(err, ErrHash) {
		t.Errorf("Firebase = %s, %v, want ErrHash", got, err)
	}
}

// LOGIN-05: what asks for too much is refused, at import and when it is stored.
func TestForeignCaps(t *testing.T) {
	const salt, sum = "$c2FsdHNhbHRzYWx0", "$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU"
	rest := salt + sum
	for _, fits := range []string{
		"$scrypt$ln=17,r=8,p=1" + rest, "$pbkdf2-sha256$i=2000000" + rest, "$argon2i$v=19$m=262144,t=10,p=8" + rest,
		"$2b$14$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK",
	} {
		if got, err := Canonical(fits); err != nil || got != fits {
			t.Errorf("Canonical(%s) = %s, %v", fits, got, err)
		}
	}
	for _, bad := range []string{
		"$scrypt$ln=22,r=8,p=1" + rest, "$scrypt$ln=18,r=8,p=3" + rest, "$scrypt$ln=63,r=8,p=1" + rest, "$scrypt$ln=1,r=1,p=17" + rest, "$scrypt$ln=1,r=65,p=1" + rest,
		"$scrypt$ln=-1,r=8,p=1" + rest, "$scrypt$ln=14,r=9223372036854775807,p=1" + rest, "scrypt$1000$saltsaltsalt$8$1" + sum,
		"scrypt$18446744073709551616$saltsaltsalt$8$1" + sum, "scrypt$4294967296$saltsaltsalt$8$1" + sum,
		"$pbkdf2-sha256$i=2000001" + rest, "$pbkdf2-sha1$i=1000001" + rest, "$pbkdf2-sha256$i=0" + rest, "$pbkdf2-sha256$i=99999999999999999999" + rest,
		"$pbkdf2-sha1$i=4611686018427387904" + salt + "$" + strings.Repeat("YWJj", 21), // 2^62 iterations for four blocks
		"$pbkdf2-md5$i=1" + rest, "$pbkdf2-sha256$i=1$YQ" + sum, "$pbkdf2-sha256$i=1" + salt + "$YWJj",
		"$argon2id$v=19$m=4194304,t=1,p=1" + rest, "$argon2i$v=19$m=64,t=11,p=1" + rest, "$argon2i$v=19$m=64,t=2,p=1" + rest, "$argon2d$v=19$m=64,t=3,p=1" + rest, "$argon2id$m=64,t=3,p=1" + rest,
		"$2b$15$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "$2x$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "$2b$04$short",
		"$fbscrypt$v=1,n=22,r=8,p=1,ss=Bw,sk=YWJjZGVmZ2hpamtsbW5vcA" + salt + "$YWJjZGVmZ2hpamtsbW5vcA", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw,sk=YWJj" + rest,
		"5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$qJH7.N4xYta3aEG/dfqo/0", "{SSHA}abc", "password", "", "null", strings.Repeat("$2b$", 300),
	} {
		if got, err := Canonical(bad); !errors.Is(err, ErrHash) {
			t.Errorf("Canonical(%.80s) = %s, %v, want ErrHash", bad, got, err)
		}
		if match, _, err := verify(bad, "x", production); match || !errors.Is(err, ErrHash) {
			t.Errorf("verify(%.80s) = %v, %v, want ErrHash", bad, match, err)
		}
	}
}

// bcrypt reads 72 bytes: what comes after is not known, so it is not made part of a
// new hash, which the right password might then not match.
func TestLongBcrypt(t *testing.T) {
	long := strings.Repeat("long ", 20)
	const made = "$2b$04$abcdefghijklmnopqrstuu2yk4qv3gXQqsDScbm/RMk6wV.1yLBHe"
	k, err := read(made)
	if err != nil {
		t.Fatal(err)
	}
	if k.outdated(production, long) || !k.outdated(production, long[:72]) {
		t.Error("a password that was cut off is hashed anew")
	}
	if k.matches(long) != k.matches(long[:72]) {
		t.Error("what comes after 72 bytes makes a difference")
	}
}

func FuzzCanonical(f *testing.F) {
	for _, foreign := range foreignHashes(f) {
		f.Add(foreign)
	}
	f.Add("$fbscrypt$v=1,n=14,r=8,p=1,ss=,sk=YWJjZGVmZ2hpamtsbW5vcA$c2FsdHNhbHRzYWx0$YWJjZGVmZ2hpamtsbW5vcA")
	f.Fuzz(func(t *testing.T, foreign string) {
		spelling, err := Canonical(foreign)
		if err != nil {
			return
		}
		if again, err := Canonical(spelling); err != nil || again != spelling {
			t.Errorf("Canonical(%q) = %q, %v", spelling, again, err)
		}
		if k, err := read(spelling); err != nil || k.spelling != spelling || k.effort == (effort{}) {
			t.Errorf("read(%q) = %+v, %v", spelling, k, err)
		}
	})
}

// LOGIN-05: whatever is stored, and whatever an export says, is refused before any work or
// asks for no more than the caps allow, written out here a second time.
func FuzzCost(f *testing.F) {
	for _, foreign := range foreignHashes(f) {
		f.Add(foreign, "", "")
	}
	const salt, sum = "$c2FsdHNhbHRzYWx0", "$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU"
	for _, cost := range []string{
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255", "$argon2i$v=19$m=262144,t=10,p=8", "$scrypt$ln=24,r=64,p=16", "$scrypt$ln=63,r=9223372036854775807,p=1",
		"$pbkdf2-sha1$i=4611686018427387904", "$pbkdf2-sha512$i=9223372036854775807", "$fbscrypt$v=1,n=24,r=64,p=16,ss=,sk=YWJj",
	} {
		f.Add(cost+salt+sum, "", "")
	}
	f.Add("$2b$31$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "", "")
	f.Add("", `{"hashIterations":4611686018427387904,"algorithm":"pbkdf2"}`, `{"value":"`+strings.Repeat("YWJj", 21)+`","salt":"MDEyMzQ1Njc4OWFiY2RlZg=="}`)
	f.Add("", `{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"memory":["7168","1"],"type":["id"],"version":["1.3"],"parallelism":["-1"]}}`, `{"value":"x","salt":"x"}`)
	f.Fuzz(func(t *testing.T, stored, credentialData, secretData string) {
		exported, err := Keycloak(credentialData, secretData)
		if err == nil {
			checkCost(t, exported)
		} else if !errors.Is(err, ErrHash) {
			t.Errorf("Keycloak(%q, %q) = %v, want ErrHash", credentialData, secretData, err)
		}
		checkCost(t, stored)
	})
}

func checkCost(t *testing.T, stored string) {
	t.Helper()
	k, err := read(stored)
	if err != nil {
		// The error comes first: nothing is computed for what is refused.
		if match, outdated, again := verify(stored, "x", production); match || outdated || !errors.Is(again, ErrHash) {
			t.Errorf("verify(%q) = %v, %v, %v, want ErrHash", stored, match, outdated, again)
		}
		return
	}
	kind, of, _ := strings.Cut(k.effort.Kind, " ")
	units := k.effort.Units
	var a, b int
	fits := false
	switch kind {
	case "argon2id", "argon2i":
		_, err = fmt.Sscanf(of, "m=%d,p=%d", &a, &b)
		fits = a <= 256<<10 && units <= 10 && b <= 8
	case "scrypt": // Firebase's, too
		_, err = fmt.Sscanf(of, "ln=%d,r=%d", &a, &b)
		fits = a > 0 && a < 30 && b > 0 && b < 1<<10 && units > 0 && units < 1<<10 && 128<<a*b <= 256<<20 && 128<<a*b*units <= 512<<20
	case "bcrypt":
		fits = units > 0 && units <= 1<<14
	case "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		_, err = fmt.Sscanf(stored[len(kind)+1:], "$i=%d$", &a) // as it is stored, whatever effort makes of it
		fits = a > 0 && a <= 2_000_000
	}
	if err != nil || !fits {
		t.Errorf("read(%q) takes a hash that costs %v: %v", stored, k.effort, err)
	}
}
