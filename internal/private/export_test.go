package private

import "testing"

// SetSecretsFolder has dir stand for /run/secrets.
func SetSecretsFolder(tb testing.TB, dir string) {
	was := secretsFolder
	secretsFolder = dir + "/"
	tb.Cleanup(func() { secretsFolder = was })
}
