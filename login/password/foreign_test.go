package password

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"golang.org/x/text/unicode/norm"
)

// oldPassword is what all of testdata/foreign.json was made from, by passlib 1.7.4,
// Django 3.2 and Werkzeug 2.2; the scrypt ones by Python's hashlib. WordPress's class-phpass.php
// made those of phpass, PHP 8.2 those of WordPress 6.8, Nextcloud and PHP, argon2-cffi 21.1 Django's argon2i,
// better-auth 1.7 and Lucia 2.7 theirs. The hashes are data that was made for these tests.
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
		got, err := KeycloakCredential{CredentialData: how, SecretData: strings.Replace(secret, "%", value, 1)}.Hash()
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
			if blank := strings.HasSuffix(attempt, " "); blank && (strings.HasPrefix(spelling, "$P$") || strings.HasPrefix(spelling, "$wp$")) {
				continue // see TestWordPressPasswords
			}
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

// What the tests and the documentation of the programs themselves publish.
func TestPublishedHashes(t *testing.T) {
	data, err := os.ReadFile("testdata/published.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Hash, Password string
		Origin               string // project, file, licence
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		kept, err := Canonical(v.Hash)
		if err != nil {
			t.Errorf("%s: Canonical(%s) = %v", v.Name, v.Hash, err)
			continue
		}
		for attempt, want := range map[string]bool{v.Password: true, v.Password + "x": false} {
			if match, _, err := verify(kept, attempt, production); match != want || err != nil {
				t.Errorf("%s: verify(%s, %s) = %v, %v", v.Name, kept, attempt, match, err)
			}
		}
	}
}

// Spring's test has a secret, which is part of the salt (spring-security,
// Pbkdf2PasswordEncoderTests.java, Apache-2.0). Hashes with a secret cannot be imported; this
// one shows that the rest is read rightly. The other was made by spring-security-crypto's rules
// with Python's hashlib.
func TestSpringPBKDF2(t *testing.T) {
	data, err := hex.DecodeString("ab1146a8458d4ce4e65789e5a3f60e423373cfa10b01abd23739e5ae2fdc37f8e9ede4ae6da65264")
	if err != nil {
		t.Fatal(err)
	}
	secret := spell("$pbkdf2-sha1$", "i=185000", append(data[:8:8], "secret"...), data[8:])
	latest, err := Canonical("{pbkdf2@SpringSecurity_v5_8}000102030405060708090a0b0c0d0e0fbde54552199251abde64c755e7c94ddf27afcc40209b99dd9d55068e3e556df4")
	if err != nil {
		t.Fatal(err)
	}
	for hash, password := range map[string]string{secret: "password", latest: oldPassword} {
		if match, _, err := verify(hash, password, production); !match || err != nil {
			t.Errorf("verify(%s) = %v, %v", hash, match, err)
		}
	}
}

// WordPress puts a backslash before quotes and backslashes, and cuts blanks off, before it
// hashes. Other programs with phpass do neither. What has blanks at its ends is not hashed anew:
// the blanks may be a slip.
func TestWordPressPasswords(t *testing.T) {
	const quoted = ` it's "quoted" \ here `
	for name, c := range map[string]struct {
		hash, typed string
		want        bool
		anew        bool
	}{
		"phpass of WordPress":            {"$P$BnpBmq9FrWY2/MxRY6jpQGLQI2LmQ51", quoted, true, false},
		"phpass of WordPress, no blanks": {"$P$BnpBmq9FrWY2/MxRY6jpQGLQI2LmQ51", strings.TrimSpace(quoted), true, true},
		"phpass of others":               {"$P$7pp3Ip48.oqn6sAYoOBJnQmWaexz0I1", quoted, true, false},
		"phpass of others, no blanks":    {"$P$7pp3Ip48.oqn6sAYoOBJnQmWaexz0I1", strings.TrimSpace(quoted), false, true},
		"6.8":                            {"$wp$2y$04$GjsN.L3FHdofvbrj.2VEOOz2A115Mi4oC4eAv/xlgt1U/s0qUjIYy", quoted, true, false},
		"6.8, no blanks":                 {"$wp$2y$04$GjsN.L3FHdofvbrj.2VEOOz2A115Mi4oC4eAv/xlgt1U/s0qUjIYy", strings.TrimSpace(quoted), true, true},
		"6.8, with the slashes":          {"$wp$2y$04$GjsN.L3FHdofvbrj.2VEOOz2A115Mi4oC4eAv/xlgt1U/s0qUjIYy", addSlashes.Replace(quoted), false, false},
	} {
		match, anew, err := verify(c.hash, c.typed, production)
		if match != c.want || anew != c.anew || err != nil {
			t.Errorf("%s: verify = %v, anew %v, %v, want %v, %v", name, match, anew, err, c.want, c.anew)
		}
	}
}

// spends notes the work that is spent for nothing.
type spends struct {
	here
	all []effort
}

func (s *spends) spend(e effort) error {
	s.all = append(s.all, e)
	return nil
}

// LOGIN-06: phpass digests the whole password each time, so a refusal spends the work that the
// password which was tried would have cost.
func TestPhpassOfTheLengthThatWasTried(t *testing.T) {
	var h spends
	p := &Passwords{policy: insecure}
	if err := p.spendRest(&h, directory.Work{"phpass": 1 << 14}, hash("x", insecure), secret.New("twelve bytes")); err != nil {
		t.Fatal(err)
	}
	if want := []effort{{"phpass", 1 << 14, 12}}; !slices.Equal(h.all, want) {
		t.Errorf("a refusal spends %+v, want %+v", h.all, want)
	}
	// WordPress's form of a password of quotes is twice as long, and is compared as well.
	h.all = nil
	if err := p.spendRest(&h, directory.Work{"phpass": 1 << 14, "phpass-sha512": 1 << 15}, hash("x", insecure), secret.New("\"'\"'\"'\"'\"'")); err != nil {
		t.Fatal(err)
	}
	if want := []effort{{"phpass", 1 << 14, 15}, {"phpass-sha512", 1 << 15, 10}}; !slices.Equal(h.all, want) {
		t.Errorf("a refusal of quotes spends %+v, want %+v", h.all, want)
	}
	if err := h.all[0].spend(); err != nil {
		t.Error(err)
	}
	if err := (effort{"phpass", 1<<18 + 1, 12}).spend(); !errors.Is(err, ErrHash) {
		t.Errorf("too much work = %v, want ErrHash", err)
	}
}

// better-auth normalises a password, which this server does not: one that is typed in another
// form matches, and stays as it is.
func TestNormalisedPasswords(t *testing.T) {
	kept, err := Canonical(foreignHashes(t)["better-auth"])
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{oldPassword, norm.NFD.String(oldPassword)} {
		match, anew, err := verify(kept, typed, production)
		if !match || anew != (typed == oldPassword) || err != nil {
			t.Errorf("verify(%q) = %v, anew %v, %v", typed, match, anew, err)
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
	for name, shown := range map[string]string{
		"console": "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: " + p.SignerKey + ",\n  base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n",
		"Windows": "\ufeffhash_config {\r\n  algorithm: SCRYPT,\r\n  base64_signer_key: " + p.SignerKey + ",\r\n  base64_salt_separator: Bw==,\r\n  rounds: 8,\r\n  mem_cost: 14,\r\n}\r\n",
		"JSON":    `{"hash_config":{"algorithm":"SCRYPT","base64_signer_key":"` + p.SignerKey + `","base64_salt_separator":"Bw==","rounds":8,"mem_cost":14}}`,
		"members": `{"algorithm": "SCRYPT", "base64_signer_key": "` + p.SignerKey + `", "base64_salt_separator": "Bw==", "rounds": 8, "mem_cost": 14}`,
	} {
		if read, err := ReadFirebaseProject(shown); read != p || err != nil {
			t.Errorf("%s: ReadFirebaseProject = %+v, %v", name, read, err)
		}
		if read, err := ReadFirebaseProject(strings.Replace(shown, "rounds", "round", 1)); err == nil {
			t.Errorf("%s: without rounds it is %+v", name, read)
		}
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
		"$argon2id$v=19$m=4194304,t=1,p=1" + rest, "$argon2i$v=19$m=64,t=11,p=1" + rest, "$argon2i$v=19$m=64,t=0,p=1" + rest, "$argon2d$v=19$m=64,t=3,p=1" + rest, "$argon2id$m=64,t=3,p=1" + rest,
		"$2b$15$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "$2x$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "$2b$04$short",
		"$fbscrypt$v=1,n=22,r=8,p=1,ss=Bw,sk=YWJjZGVmZ2hpamtsbW5vcA" + salt + "$YWJjZGVmZ2hpamtsbW5vcA", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw,sk=YWJj" + rest,
		"$P$GvrUcIs9a0xXG9Dgz.uNJ9fDd7UoRY.", "$H$zvrUcIs9a0xXG9Dgz.uNJ9fDd7UoRY.", "$P$4vrUcIs9a0xXG9Dgz.uNJ9fDd7UoRY.", "$P$BvrUcIs9a0xXG9Dgz.uNJ9fDd7UoRY", "$P$BvrUcIs9a0xXG9D$z.uNJ9fDd7UoRY.", "$P$",
		"$wp$2y$15$1xxyN1TGBjO9fVePEqwZg.ryYclghVgo1V6nMz2qz9d/O.V.t0hhW", "$wp$P$BvrUcIs9a0xXG9Dgz.uNJ9fDd7UoRY.", "$wp",
		"AQAAAAH/////AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M", "AQAAAAMAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M", // iterations, function
		"AQAAAAAAAAD6/////whftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M", "AQAAAAAAAAD6AAAABAhftMyf", "AQAAAA", "AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggE=",
		"$S$G33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf"[:54], "$S$K33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf", "$S$z33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf", "U$S$C33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf",
		"$bcrypt-sha256$v=2,t=2b,r=15$/4F0Zu/tyJ345ysrqWrfCe$tF/yHghVvwF9NRSa5DkL7nR8fZ4J7UG", "$bcrypt-sha256$v=2,t=2b,4$/4F0Zu/tyJ345ysrqWrfCe$tF/yHghVvwF9NRSa5DkL7nR8fZ4J7UG", "$bcrypt-sha256$v=3,t=2b,r=4$/4F0Zu/tyJ345ysrqWrfCe$tF/yHghVvwF9NRSa5DkL7nR8fZ4J7UG",
		"bcrypt_sha256$$2b$15$JRBYCC7SEIdTxMX7B1UHzeS2LG.mLXd87brSI6H1LgLTb28.lKzSO", "bcrypt_sha256$x", "1|5f4dcc3b5aa765d61d8327deb882cf99", "4|$2y$04$uUZGf5Rz60Rrxnoxt04GgOeJZGvL6FgVJgbSV30AiF7qehuDbzyWG",
		"{noop}password", "{MD5}5f4dcc3b5aa765d61d8327deb882cf99", "{bcrypt}", "{}", "{bcrypt}{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG",
		"{pbkdf2}5d923b44", "{pbkdf2@SpringSecurity_v5_8}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc",
		"{scrypt}$160801" + salt + sum, "{scrypt}$e0800" + salt + sum, "{scrypt}$e08" + salt + sum, "$ffffff" + salt + sum, "$scrypt-nfkc$ln=22,r=8,p=1" + rest,
		"{sha256}97cde38028ad898ebc02e690819fa220e88c62e0699403e94fff291cfffaf8410849f27605abcbc0",
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
		exported, err := KeycloakCredential{CredentialData: credentialData, SecretData: secretData}.Hash()
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
	case "phpass", "phpass-sha512":
		fits = units > 0 && units <= 1<<18
	case "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		_, err = fmt.Sscanf(stored[len(kind)+1:], "$i=%d$", &a) // as it is stored, whatever effort makes of it
		fits = a > 0 && a <= 2_000_000
	}
	if err != nil || !fits {
		t.Errorf("read(%q) takes a hash that costs %v: %v", stored, k.effort, err)
	}
}
